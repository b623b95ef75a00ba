"""A database that answers, and takes no bars: its disk is full."""

FULL = """
    CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN RAISE EXCEPTION 'no space left' USING ERRCODE = 'disk_full'; END $$;
    CREATE TRIGGER full_disk BEFORE INSERT ON ohlcv_data FOR EACH ROW EXECUTE FUNCTION full_disk()
"""


def fill_disk(pipeline):
    pipeline.query(FULL)


def free_disk(pipeline):
    pipeline.query("DROP TRIGGER full_disk ON ohlcv_data")
