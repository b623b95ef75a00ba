"""DBN files of every version and record type, written from the vendor's specification and not by our code.

    data = metadata(3, schema="trades", mappings=[("ESH1", [(20240102, 20240105, "7")])])
    data += record(3, "trades", {"price": 1, "action": b"T"}, instrument_id=7, ts_event=NOON)

Fields that are not named are zero. Broken files are made of good ones: `raw` takes any rtype, length and body.
"""

import random
import struct

UNDEF_PRICE = UNDEF_I64 = 2**63 - 1
UNDEF_TIME = 2**64 - 1
SCHEMAS = (
    "mbo mbp-1 mbp-10 tbbo trades ohlcv-1s ohlcv-1m ohlcv-1h ohlcv-1d definition statistics status imbalance ohlcv-eod"
    " cmbp-1 cbbo-1s cbbo-1m tcbbo bbo-1s bbo-1m"
).split()
MIXED = 0xFFFF
STYPES = "instrument_id raw_symbol smart continuous parent".split()
SYMBOL_BYTES = {1: 22, 2: 71, 3: 71}

# --- layouts: what follows the 16 bytes of the header, in order; `x` is padding --------------------------------------

TRADE = "price:q size:I action:c side:c flags:B depth:B ts_recv:Q ts_in_delta:i sequence:I"


def level(number, venues=False):
    sizes = "bid_px_{0}:q ask_px_{0}:q bid_sz_{0}:I ask_sz_{0}:I ".format(f"{number:02}")
    tail = "bid_pb_{0}:H 2x ask_pb_{0}:H 2x" if venues else "bid_ct_{0}:I ask_ct_{0}:I"
    return sizes + tail.format(f"{number:02}")


OHLCV = "open:q high:q low:q close:q volume:Q"
BBO = "price:q size:I 1x side:c flags:B 1x ts_recv:Q 4x sequence:I " + level(0)
CBBO = "price:q size:I 1x side:c flags:B 1x ts_recv:Q 8x " + level(0, venues=True)
CMBP1 = "price:q size:I action:c side:c flags:B 1x ts_recv:Q ts_in_delta:i 4x " + level(0, venues=True)
STATUS = "ts_recv:Q action:H reason:H trading_event:H is_trading:c is_quoting:c is_short_sell_restricted:c 7x"
IMBALANCE = (
    "ts_recv:Q ref_price:q auction_time:Q cont_book_clr_price:q auct_interest_clr_price:q ssr_filling_price:q"
    " ind_match_price:q upper_collar:q lower_collar:q paired_qty:I total_imbalance_qty:I market_imbalance_qty:I"
    " unpaired_qty:I auction_type:c side:c auction_status:B freeze_status:B num_extensions:B unpaired_side:c"
    " significant_imbalance:c 1x"
)
STAT = (
    "ts_recv:Q ts_ref:Q price:q quantity:{} sequence:I ts_in_delta:i stat_type:H channel_id:H update_action:B"
    " stat_flags:B {}x"
)

# The specification's own table of definitions: type, then the offset in versions 1, 2, 3 (0: not there).
DEFINITION = """
ts_recv Q 16 16 16
min_price_increment q 24 24 24 | display_factor q 32 32 32
expiration Q 40 40 40 | activation Q 48 48 48
high_limit_price q 56 56 56 | low_limit_price q 64 64 64 | max_price_variation q 72 72 72
trading_reference_price q 80 80 0
unit_of_measure_qty q 88 88 80 | min_price_increment_amount q 96 96 88 | price_ratio q 104 104 96
strike_price q 328 112 104
raw_instrument_id IIQ 120 128 112
leg_price q 0 0 120 | leg_delta q 0 0 128
inst_attrib_value i 112 120 136 | underlying_id I 116 124 140
market_depth_implied i 124 132 144 | market_depth i 128 136 148
market_segment_id I 132 140 152 | max_trade_vol I 136 144 156
min_lot_size i 140 148 160 | min_lot_size_block i 144 152 164 | min_lot_size_round_lot i 148 156 168
min_trade_vol I 152 160 172
contract_multiplier i 160 164 176 | decay_quantity i 164 168 180 | original_contract_size i 168 172 184
leg_instrument_id I 0 0 188
leg_ratio_price_numerator i 0 0 192 | leg_ratio_price_denominator i 0 0 196
leg_ratio_qty_numerator i 0 0 200 | leg_ratio_qty_denominator i 0 0 204
leg_underlying_id I 0 0 208
trading_reference_date H 176 176 0
appl_id h 178 178 212
maturity_year H 180 180 214 | decay_start_date H 182 182 216 | channel_id H 184 184 218
leg_count H 0 0 220 | leg_index H 0 0 222
currency 4s 186 186 224 | settl_currency 4s 190 190 228 | secsubtype 6s 194 194 232
raw_symbol 22s/71s/71s 200 200 238
group 21s 222 271 309 | exchange 5s 243 292 330
asset 7s/7s/11s 248 297 335
cfi 7s 255 304 346 | security_type 7s 262 311 353
unit_of_measure 31s 269 318 360 | underlying 21s 300 349 391
strike_price_currency 4s 321 370 412
leg_raw_symbol 71s 0 0 416
instrument_class c 325 374 487 | match_algorithm c 342 375 488
md_security_trading_status B 343 376 0
main_fraction B 344 377 489 | price_display_format B 345 378 490
settl_price_type B 346 379 0
sub_fraction B 347 380 491 | underlying_product B 348 381 492
security_update_action c 349 382 493
maturity_month B 350 383 494 | maturity_day B 351 384 495 | maturity_week B 352 385 496
user_defined_instrument c 353 386 497
contract_multiplier_unit b 354 387 498 | flow_schedule_type b 355 388 499
tick_rule B 356 389 500
leg_instrument_class c 0 0 501 | leg_side c 0 0 502
"""


def in_order(text):
    """{name: (struct code, offset in the record)} of a layout without gaps, and the record's length."""
    fields, at = {}, 16
    for word in text.split():
        name, _, code = word.rpartition(":")
        if name:
            fields[name] = (code, at)
        at += struct.calcsize("<" + code)
    return fields, at


def definition(version):
    fields = {}
    for row in DEFINITION.replace("|", "\n").split("\n"):
        if row.strip():
            name, codes, *offsets = row.split()
            each = codes.split("/") if "/" in codes else list(codes) if codes == "IIQ" else [codes] * 3
            if int(offsets[version - 1]):
                fields[name] = (each[version - 1], int(offsets[version - 1]))
    return fields, {1: 360, 2: 400, 3: 520}[version]


def layout(kind, version):
    old = version == 1
    texts = {
        "trades": TRADE,
        "mbp-1": f"{TRADE} {level(0)}",
        "tbbo": f"{TRADE} {level(0)}",
        "mbp-10": " ".join([TRADE] + [level(number) for number in range(10)]),
        "mbo": "order_id:Q price:q size:I flags:B channel_id:B action:c side:c ts_recv:Q ts_in_delta:i sequence:I",
        "status": STATUS,
        "imbalance": IMBALANCE,
        "statistics": STAT.format("q", 18) if version == 3 else STAT.format("i", 6),
        "error": "err:64s" if old else "err:302s code:B is_last:B",
        "system": "msg:64s" if old else "msg:303s code:B",
        "symbol_mapping": "stype_in_symbol:22s stype_out_symbol:22s 4x start_ts:Q end_ts:Q"
        if old
        else "stype_in:B stype_in_symbol:71s stype_out:B stype_out_symbol:71s start_ts:Q end_ts:Q",
        "cmbp-1": CMBP1,
        "tcbbo": CMBP1,
    }
    texts |= {f"ohlcv-{each}": OHLCV for each in ("1s", "1m", "1h", "1d", "eod")}
    texts |= {"bbo-1s": BBO, "bbo-1m": BBO, "cbbo-1s": CBBO, "cbbo-1m": CBBO}
    return definition(version) if kind == "definition" else in_order(texts[kind])


RTYPES = {
    "trades": 0x00, "mbp-1": 0x01, "tbbo": 0x01, "mbp-10": 0x0A, "status": 0x12, "definition": 0x13, "imbalance": 0x14,
    "error": 0x15, "symbol_mapping": 0x16, "system": 0x17, "statistics": 0x18, "ohlcv-1s": 0x20, "ohlcv-1m": 0x21,
    "ohlcv-1h": 0x22, "ohlcv-1d": 0x23, "ohlcv-eod": 0x24, "mbo": 0xA0, "cmbp-1": 0xB1, "cbbo-1s": 0xC0,
    "cbbo-1m": 0xC1, "tcbbo": 0xC2, "bbo-1s": 0xC3, "bbo-1m": 0xC4,
}  # fmt: skip


# --- bytes ---------------------------------------------------------------------------------------------------------


def raw(rtype, body=b"", publisher_id=1, instrument_id=0, ts_event=0, words=None):
    """A record of any type and body; its length byte is right unless `words` says otherwise."""
    words = (16 + len(body)) // 4 if words is None else words
    return struct.pack("<BBHIQ", words, rtype, publisher_id, instrument_id, ts_event) + body


def record(version, kind, values, ts_out=None, **header):
    fields, length = layout(kind, version)
    data = bytearray(length)
    for name, value in values.items():
        code, at = fields[name]
        struct.pack_into("<" + code, data, at, value)
    tail = b"" if ts_out is None else struct.pack("<Q", ts_out)
    return raw(RTYPES[kind], bytes(data[16:]) + tail, **header)


def metadata(
    version=3,
    dataset=b"TEST.DATA",
    schema="trades",
    start=0,
    end=UNDEF_TIME,
    limit=0,
    stype_in=1,
    stype_out=0,
    ts_out=False,
    symbols=(),
    partial=(),
    not_found=(),
    mappings=(),
    symbol_bytes=None,
    length=None,
):
    """`schema` is a name or a number; `mappings` is [(symbol, [(from, to, symbol)])] with days as 20240131."""
    width = symbol_bytes or SYMBOL_BYTES[version if version in SYMBOL_BYTES else 3]

    def text(value):
        return (value if isinstance(value, bytes) else value.encode()).ljust(width, b"\0")

    def texts(values):
        return struct.pack("<I", len(values)) + b"".join(text(value) for value in values)

    number = SCHEMAS.index(schema) if isinstance(schema, str) else schema
    block = dataset.ljust(16, b"\0") + struct.pack("<HQQQ", number, start, end, limit)
    block += struct.pack("<Q", UNDEF_TIME) if version == 1 else b""
    block += struct.pack("<BBB", stype_in, stype_out, ts_out)
    block += b"" if version == 1 else struct.pack("<H", width)
    block = block.ljust(100, b"\0") + struct.pack("<I", 0) + texts(symbols) + texts(partial) + texts(not_found)
    block += struct.pack("<I", len(mappings))
    for symbol, intervals in mappings:
        block += text(symbol) + struct.pack("<I", len(intervals))
        for first, end_day, output in intervals:
            block += struct.pack("<II", first, end_day) + text(output)
    if version >= 3:
        block += b"\0" * (-len(block) % 8)
    return b"DBN" + struct.pack("<BI", version, len(block) if length is None else length) + block


# --- any values ----------------------------------------------------------------------------------------------------

TIMES = {"ts_recv", "ts_ref", "expiration", "activation", "auction_time", "start_ts", "end_ts"}
CHARS = {
    "action": b"ACMTFN", "side": b"ABN", "is_trading": b"YN~", "is_quoting": b"YN~", "is_short_sell_restricted": b"YN~",
    "instrument_class": b"BCFKMPSTXY", "match_algorithm": b"FKCTOSQ", "security_update_action": b"AMD",
    "user_defined_instrument": b"NY", "leg_instrument_class": b"BCFKP\0", "leg_side": b"ABN", "unpaired_side": b"ABN",
}  # fmt: skip
NOON = 1704196800 * 10**9  # 2024-01-02


def any_value(name, code, dice):
    """Anything the field can hold, its greatest number (which may mean: undefined) often."""
    if code == "c":
        return bytes([dice.choice(CHARS.get(name, b"AZ~\0"))])
    if code.endswith("s"):
        text = "".join(dice.choice("ABCXYZ0189 .:-") for _ in range(dice.randrange(int(code[:-1]))))
        return text.strip().encode()
    bits = 8 * struct.calcsize(code)
    low, high = (0, 2**bits - 1) if code.isupper() else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    if name in TIMES and dice.random() < 0.8:
        return NOON + dice.randrange(10**14)
    return dice.choice((0, 1, high, low, dice.randint(low, high), dice.randint(low, high)))


def any_records(version, kind, count, seed=1, ts_out=False):
    """Records of one type with any values of every field."""
    dice = random.Random(f"{seed} {version} {kind}")
    fields, _ = layout(kind, version)
    return b"".join(
        record(
            version,
            kind,
            {name: any_value(name, code, dice) for name, (code, _) in fields.items()},
            ts_out=NOON + number if ts_out else None,
            publisher_id=dice.randrange(2**16),
            instrument_id=dice.choice((1, 2, 3, 2**32 - 1)),
            ts_event=dice.choice((0, NOON, NOON + dice.randrange(10**14), UNDEF_TIME)),
        )
        for number in range(count)
    )


MAPPINGS = [
    ("AAPL", [(20240102, 20240103, "1"), (20240103, 20240104, "2")]),
    ("MSFT", [(20240102, 20240103, "2"), (20240103, 20240104, "1")]),
]


def any_file(version, kind, count=50, ts_out=False, **options):
    schema = kind if kind in SCHEMAS else MIXED
    head = metadata(version, schema=schema, ts_out=ts_out, symbols=["AAPL", "MSFT"], mappings=MAPPINGS, **options)
    return head + any_records(version, kind, count, ts_out=ts_out)
