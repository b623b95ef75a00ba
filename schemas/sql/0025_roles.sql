-- Workers log in with a role that may do what it needs and no more (schemas/roles.sql). What needs the owner's rights is done by
-- functions that have them, each for those alone that `penstock db roles apply` grants it to.

-- Only what make_side() made: who may call it may not drop other tables by it.
CREATE OR REPLACE FUNCTION etl.drop_side(side text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM etl.sides s WHERE s.side_name = side) THEN
        RAISE EXCEPTION '% is no table beside another', side USING ERRCODE = 'undefined_object';
    END IF;
    EXECUTE format('DROP TABLE IF EXISTS %I', side);
    DELETE FROM etl.restatements r WHERE r.table_name = side;
    DELETE FROM etl.sides s WHERE s.side_name = side;
END $$;

-- They find tables where the rows are, whoever calls them. Whoever replaces one of them does this for it again.
DO $$
DECLARE
    rows_in text := (SELECT quote_ident(n.nspname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                      WHERE c.oid = 'ohlcv_data'::regclass);
    function text;
BEGIN
    FOREACH function IN ARRAY ARRAY['etl.ensure_month(regclass, date)', 'etl.make_side(text, text, text, bigint)', 'etl.drop_side(text)',
                                    'etl.withdraw(bigint)', 'etl.count_dead_letters()', 'etl.forget_accounts()'] LOOP
        EXECUTE format('ALTER FUNCTION %s SECURITY DEFINER SET search_path = %s, pg_temp', function, rows_in);
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', function);
    END LOOP;
END $$;
