-- The other record types. Times are kept to the microsecond, with the 0 to 999 ns that are left in a column beside each.
-- Native range partitions by month, made on demand by the loader.

-- Trades.
CREATE TABLE trades_data (
    symbol        text COLLATE "C" NOT NULL,
    ts_event      timestamptz NOT NULL,
    ts_event_ns   smallint NOT NULL,
    ts_recv       timestamptz NOT NULL,
    ts_recv_ns    smallint NOT NULL,
    sequence      bigint NOT NULL DEFAULT 0,
    tie           integer NOT NULL DEFAULT 0,
    dataset       text COLLATE "C" NOT NULL,
    publisher_id  integer NOT NULL DEFAULT 0,
    instrument_id bigint NOT NULL DEFAULT 0,
    price         numeric(19, 9) NOT NULL,
    size          numeric NOT NULL,
    side          text COLLATE "C" NOT NULL,
    vendor_side   text COLLATE "C" NOT NULL,
    action        text COLLATE "C" NOT NULL,
    depth         integer NOT NULL DEFAULT 0,
    ts_in_delta   integer,
    vendor_flags  integer NOT NULL DEFAULT 0,
    ticker        text COLLATE "C" NOT NULL,
    venue         text COLLATE "C",
    session_date  date NOT NULL,
    session_basis text COLLATE "C" NOT NULL,
    flags         integer NOT NULL DEFAULT 0,
    attempt       bigint NOT NULL,
    as_of         timestamptz NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (symbol, ts_event, ts_event_ns, ts_recv, ts_recv_ns, sequence, dataset, publisher_id, tie)
) PARTITION BY RANGE (ts_event);
CREATE INDEX trades_data_attempt ON trades_data USING brin (attempt) WITH (autosummarize = on);

-- Trades, each with the best bid and offer before it.
CREATE TABLE tbbo_data (
    symbol        text COLLATE "C" NOT NULL,
    ts_event      timestamptz NOT NULL,
    ts_event_ns   smallint NOT NULL,
    ts_recv       timestamptz NOT NULL,
    ts_recv_ns    smallint NOT NULL,
    sequence      bigint NOT NULL DEFAULT 0,
    tie           integer NOT NULL DEFAULT 0,
    dataset       text COLLATE "C" NOT NULL,
    publisher_id  integer NOT NULL DEFAULT 0,
    instrument_id bigint NOT NULL DEFAULT 0,
    price         numeric(19, 9) NOT NULL,
    size          numeric NOT NULL,
    side          text COLLATE "C" NOT NULL,
    vendor_side   text COLLATE "C" NOT NULL,
    action        text COLLATE "C" NOT NULL,
    depth         integer NOT NULL DEFAULT 0,
    ts_in_delta   integer,
    vendor_flags  integer NOT NULL DEFAULT 0,
    bid_px_00     numeric(19, 9),
    ask_px_00     numeric(19, 9),
    bid_sz_00     bigint NOT NULL DEFAULT 0,
    ask_sz_00     bigint NOT NULL DEFAULT 0,
    bid_ct_00     bigint NOT NULL DEFAULT 0,
    ask_ct_00     bigint NOT NULL DEFAULT 0,
    ticker        text COLLATE "C" NOT NULL,
    venue         text COLLATE "C",
    session_date  date NOT NULL,
    session_basis text COLLATE "C" NOT NULL,
    flags         integer NOT NULL DEFAULT 0,
    attempt       bigint NOT NULL,
    as_of         timestamptz NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (symbol, ts_event, ts_event_ns, ts_recv, ts_recv_ns, sequence, dataset, publisher_id, tie)
) PARTITION BY RANGE (ts_event);
CREATE INDEX tbbo_data_attempt ON tbbo_data USING brin (attempt) WITH (autosummarize = on);

-- What venues say of an instrument's day: an event log. ts_ref: -infinity where there is none, as it is part of the key.
CREATE TABLE statistics_data (
    symbol        text COLLATE "C" NOT NULL,
    ts_event      timestamptz,
    ts_event_ns   smallint,
    ts_recv       timestamptz NOT NULL,
    ts_recv_ns    smallint NOT NULL,
    ts_ref        timestamptz NOT NULL,
    ts_ref_ns     smallint NOT NULL,
    sequence      bigint NOT NULL DEFAULT 0,
    tie           integer NOT NULL DEFAULT 0,
    dataset       text COLLATE "C" NOT NULL,
    publisher_id  integer NOT NULL DEFAULT 0,
    instrument_id bigint NOT NULL DEFAULT 0,
    stat_type     integer NOT NULL,
    channel_id    integer NOT NULL DEFAULT 0,
    price         numeric(19, 9),
    quantity      numeric,
    update_action integer NOT NULL,
    stat_flags    integer NOT NULL DEFAULT 0,
    ts_in_delta   integer,
    ticker        text COLLATE "C" NOT NULL,
    venue         text COLLATE "C",
    session_date  date NOT NULL,
    session_basis text COLLATE "C" NOT NULL,
    flags         integer NOT NULL DEFAULT 0,
    attempt       bigint NOT NULL,
    as_of         timestamptz NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (symbol, ts_recv, ts_recv_ns, dataset, publisher_id, stat_type, channel_id, sequence, ts_ref, ts_ref_ns, tie)
) PARTITION BY RANGE (ts_recv);
CREATE INDEX statistics_data_attempt ON statistics_data USING brin (attempt) WITH (autosummarize = on);

-- What instruments are, as the venue said it on that day; one row for each leg of a spread.
CREATE TABLE definitions_data (
    symbol                      text COLLATE "C" NOT NULL,
    ts_event                    timestamptz,
    ts_event_ns                 smallint,
    ts_recv                     timestamptz NOT NULL,
    ts_recv_ns                  smallint NOT NULL,
    dataset                     text COLLATE "C" NOT NULL,
    publisher_id                integer NOT NULL DEFAULT 0,
    instrument_id               bigint NOT NULL DEFAULT 0,
    raw_symbol                  text COLLATE "C" NOT NULL,
    security_update_action      text COLLATE "C" NOT NULL,
    instrument_class            text COLLATE "C" NOT NULL,
    min_price_increment         numeric(19, 9),
    display_factor              numeric(19, 9),
    expiration                  timestamptz,
    expiration_ns               smallint,
    activation                  timestamptz,
    activation_ns               smallint,
    high_limit_price            numeric(19, 9),
    low_limit_price             numeric(19, 9),
    max_price_variation         numeric(19, 9),
    trading_reference_price     numeric(19, 9),
    unit_of_measure_qty         numeric(19, 9),
    min_price_increment_amount  numeric(19, 9),
    price_ratio                 numeric(19, 9),
    strike_price                numeric(19, 9),
    inst_attrib_value           bigint,
    underlying_id               bigint,
    raw_instrument_id           text COLLATE "C",
    market_depth_implied        integer,
    market_depth                integer,
    market_segment_id           bigint,
    max_trade_vol               bigint,
    min_lot_size                integer,
    min_lot_size_block          integer,
    min_lot_size_round_lot      integer,
    min_trade_vol               bigint,
    contract_multiplier         integer,
    decay_quantity              integer,
    original_contract_size      integer,
    trading_reference_date      date,
    appl_id                     integer,
    maturity_year               integer,
    maturity_month              integer,
    maturity_day                integer,
    maturity_week               integer,
    decay_start_date            date,
    channel_id                  integer,
    currency                    text COLLATE "C" NOT NULL,
    settl_currency              text COLLATE "C" NOT NULL,
    secsubtype                  text COLLATE "C" NOT NULL,
    "group"                     text COLLATE "C" NOT NULL,
    exchange                    text COLLATE "C" NOT NULL,
    asset                       text COLLATE "C" NOT NULL,
    cfi                         text COLLATE "C" NOT NULL,
    security_type               text COLLATE "C" NOT NULL,
    unit_of_measure             text COLLATE "C" NOT NULL,
    underlying                  text COLLATE "C" NOT NULL,
    strike_price_currency       text COLLATE "C" NOT NULL,
    match_algorithm             text COLLATE "C" NOT NULL,
    md_security_trading_status  integer,
    main_fraction               integer,
    price_display_format        integer,
    settl_price_type            integer,
    sub_fraction                integer,
    underlying_product          integer,
    user_defined_instrument     text COLLATE "C" NOT NULL,
    contract_multiplier_unit    integer,
    flow_schedule_type          integer,
    tick_rule                   integer,
    leg_count                   integer NOT NULL DEFAULT 0,
    leg_index                   integer NOT NULL DEFAULT 0,
    leg_instrument_id           bigint,
    leg_raw_symbol              text COLLATE "C" NOT NULL,
    leg_instrument_class        text COLLATE "C" NOT NULL,
    leg_side                    text COLLATE "C" NOT NULL,
    leg_price                   numeric(19, 9),
    leg_delta                   numeric(19, 9),
    leg_ratio_price_numerator   integer,
    leg_ratio_price_denominator integer,
    leg_ratio_qty_numerator     integer,
    leg_ratio_qty_denominator   integer,
    leg_underlying_id           bigint,
    ticker                      text COLLATE "C" NOT NULL,
    venue                       text COLLATE "C",
    session_date                date NOT NULL,
    session_basis               text COLLATE "C" NOT NULL,
    flags                       integer NOT NULL DEFAULT 0,
    attempt                     bigint NOT NULL,
    as_of                       timestamptz NOT NULL,
    created_at                  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (dataset, publisher_id, instrument_id, ts_recv, ts_recv_ns, leg_index)
) PARTITION BY RANGE (ts_recv);
CREATE INDEX definitions_data_attempt ON definitions_data USING brin (attempt) WITH (autosummarize = on);

-- Under which symbol a vendor keeps another one, from d0 until before d1.
CREATE TABLE symbol_mappings (
    input_symbol  text COLLATE "C" NOT NULL,
    dataset       text COLLATE "C" NOT NULL,
    stype_in      text COLLATE "C" NOT NULL,
    stype_out     text COLLATE "C" NOT NULL,
    output_symbol text COLLATE "C" NOT NULL,
    d0            date NOT NULL,
    d1            date NOT NULL,
    flags         integer NOT NULL DEFAULT 0,
    attempt       bigint NOT NULL,
    as_of         timestamptz NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (dataset, stype_in, input_symbol, stype_out, output_symbol, d0, d1)
) PARTITION BY RANGE (d0);
CREATE INDEX symbol_mappings_attempt ON symbol_mappings USING brin (attempt) WITH (autosummarize = on);

-- The last word on each statistic: of one kind, channel and reference time, what came last; none where that was a
-- deletion (update_action 2).
CREATE VIEW statistics_latest AS
SELECT * FROM (
    SELECT DISTINCT ON (symbol, dataset, publisher_id, stat_type, channel_id, ts_ref, ts_ref_ns)
           symbol, dataset, publisher_id, instrument_id, stat_type, channel_id,
           nullif(ts_ref, '-infinity') AS ts_ref, ts_ref_ns, ts_event, ts_recv, ts_recv_ns, sequence, price, quantity,
           update_action, stat_flags, ticker, venue, session_date, flags
    FROM statistics_data
    ORDER BY symbol, dataset, publisher_id, stat_type, channel_id, ts_ref, ts_ref_ns,
             ts_recv DESC, ts_recv_ns DESC, sequence DESC, tie DESC
) AS last WHERE update_action <> 2;

-- Bars under the names that other systems' queries use: by symbol and time, and by ticker, region and date.
CREATE VIEW market_data AS
SELECT symbol, ts_event AS time, "interval", open_price AS open, high_price AS high, low_price AS low,
       close_price AS close, volume, dataset, publisher_id, venue, ticker, session_date, flags, created_at
FROM ohlcv_data;
