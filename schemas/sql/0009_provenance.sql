-- Where a row's record stood. Not in every row, but with the account that it is in: the first and the last offset of those
-- records that became the same in the same partition. Null: of an account from before.
ALTER TABLE etl.ledger ADD COLUMN first_offset bigint, ADD COLUMN last_offset bigint;

-- The partition of a key: Java's default partitioner, which the fetcher uses (murmur2 of the bytes modulo the count).
CREATE FUNCTION etl.kafka_partition(key text, partitions bigint) RETURNS integer LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    bytes bytea := convert_to(key, 'UTF8');
    n integer := length(bytes);
    m constant bigint := 1540483477;
    mask constant bigint := 4294967295;
    h bigint := 2538058380 # n;
    k bigint;
    tail integer := n - n % 4;
BEGIN
    FOR i IN 0 .. n / 4 - 1 LOOP
        k := get_byte(bytes, 4 * i) | (get_byte(bytes, 4 * i + 1) << 8) | (get_byte(bytes, 4 * i + 2) << 16)
             | (get_byte(bytes, 4 * i + 3)::bigint << 24);
        k := (k * m) & mask;
        k := ((k # (k >> 24)) * m) & mask;
        h := ((h * m) & mask) # k;
    END LOOP;
    IF n % 4 = 3 THEN h := h # (get_byte(bytes, tail + 2) << 16); END IF;
    IF n % 4 >= 2 THEN h := h # (get_byte(bytes, tail + 1) << 8); END IF;
    IF n % 4 >= 1 THEN h := ((h # get_byte(bytes, tail)) * m) & mask; END IF;
    h := ((h # (h >> 13)) * m) & mask;
    h := h # (h >> 15);
    RETURN (h & 2147483647) % partitions;
END $$;
