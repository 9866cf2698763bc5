"""What MLflow makes of an empty SQLite file; ``python -m tests.support.mlflow_tables`` keeps it.

To be run when the pinned MLflow has changed: the product's template is then of another version.
"""

import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

import mlflow
import sqlalchemy
from mlflow.store.db.utils import _initialize_tables

from hpo.tracking.tables import TEMPLATE, first_line_of


def statements_of(path: Path) -> list[str]:
    """An SQLite file as SQL, in an order of its own: MLflow makes indexes and constraints in any."""
    with closing(sqlite3.connect(path)) as connection:
        begin, *statements, commit = connection.iterdump()
    indexes = sorted(each for each in statements if each.startswith(("CREATE INDEX", "CREATE UNI")))
    others = [_order_constraints(each) for each in statements if each not in indexes]
    return [begin, *others, *indexes, commit]


def _order_constraints(statement: str) -> str:
    if not statement.startswith("CREATE TABLE"):
        return statement
    first, *lines, last = statement.split("\n")
    lines = [line.rstrip(", ") for line in lines]
    constraints = sorted(line for line in lines if line.startswith("\tCONSTRAINT"))
    columns = [line for line in lines if line not in constraints]
    return "\n".join([first, ",\n".join([*columns, *constraints]), last])


def write_template() -> None:
    """Write what the installed MLflow makes by its migrations."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "mlflow.db")
        engine = sqlalchemy.create_engine(f"sqlite:///{path}")
        _initialize_tables(engine)
        engine.dispose()
        script = [first_line_of(mlflow.__version__), *statements_of(path)]
    TEMPLATE.write_text("\n".join(script) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write_template()
