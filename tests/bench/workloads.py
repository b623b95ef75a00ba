"""What is measured with: each workload is made from its seed, the same each time. All sizes follow from --rows."""

import os
import subprocess
from dataclasses import dataclass, field

ROWS = 2_000_000  # --rows where nothing is said: then the workloads are as large as their names say


@dataclass(frozen=True)
class Files:
    """Records of one schema; options are those of penstock-simulator --write."""

    share: float  # of --rows
    schema: str = "ohlcv-1m"
    broken: float = 0.0  # share of the records
    records_of_file: int = 0  # as many files as that makes
    mappings: bool = False  # what the metadata says of symbols is loaded, too
    options: dict = field(default_factory=dict)


# W3 is W1 fetched again.
BARS = {"symbols": 500, "files": 4}
WORKLOADS = {
    "w1": [Files(1.0, options=BARS)],  # 2 M minute bars of 500 symbols
    "w2": [Files(2.5, "trades", options={"symbols": 50, "files": 4})],  # 5 M trades, as Zipf has it
    "w4": [Files(1.0, broken=0.01, options=BARS)],
    "w5": [Files(0.5, records_of_file=100, options={"symbols": 100})],  # 10,000 tasks
    "w6": [  # every record type; the symbol mappings are those of the files
        Files(0.5, mappings=True, options={"symbols": 500}),
        Files(0.2, "trades", mappings=True),
        Files(0.2, "tbbo", mappings=True),
        Files(0.05, "statistics", mappings=True),
        Files(0.05, "definition", mappings=True),
    ],
}

TABLES = {"trades": "trades_data", "tbbo": "tbbo_data", "statistics": "statistics_data", "definition": "definitions_data"}


def table_of(schema):
    return TABLES.get(schema, "ohlcv_data")


@dataclass
class Made:
    """A workload whose files are there, with a subscription for each kind of them."""

    subscriptions: list
    records: int = 0  # without symbol mappings
    tasks: int = 0
    tables: dict = field(default_factory=dict)  # name to how many of the records belong there


def write(pipeline, name, **options):
    """Files of made-up records; the glob of their names."""
    path = os.path.join(pipeline.folder, f"{name}.dbn")
    words = [pipeline.program("penstock-simulator"), f"--write={path}"]
    words += [f"--{key.replace('_', '-')}={value}" for key, value in options.items()]
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
    return os.path.join(pipeline.folder, f"{name}[.-]*dbn")


def make_files(pipeline, made, name, files, rows):
    records = max(int(rows * files.share), files.records_of_file, 1)
    options = {"schema": files.schema, "records": records} | files.options
    if files.records_of_file:
        options["files"] = records // files.records_of_file
    options["files"] = min(options.get("files", 1), records)
    if files.broken:
        options["broken"] = max(int(records * files.broken), 1)
    path = write(pipeline, name, **options)
    pipeline.subscribe(name, path, symbol_mappings=str(files.mappings).lower())
    made.subscriptions.append(name)
    made.records += records
    made.tasks += options["files"]
    made.tables[table_of(files.schema)] = made.tables.get(table_of(files.schema), 0) + records


def make(pipeline, name, rows):
    made = Made([])
    several = len(WORKLOADS[name]) > 1
    for files in WORKLOADS[name]:
        make_files(pipeline, made, f"{name}-{files.schema}" if several else name, files, rows)
    return made
