"""``predict``: scores the rows of a table with a logged model."""

import argparse
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hpo.commands.environment import use_mlflow_here
from hpo.commands.inputs import settings_of
from hpo.commands.output import print_csv, say
from hpo.errors import ModelError

if TYPE_CHECKING:
    from hpo.estimators.loading import ShippedModel


def predict(options: argparse.Namespace) -> int:
    """Write predictions to a file or to standard output."""
    settings = settings_of(options)
    use_mlflow_here()
    from hpo.data.tables import check_output, write_table
    from hpo.estimators.batch_prediction import predict_table

    if options.output is not None:
        check_output(options.output)
    model = load(options.model_uri, settings.tracking_uri, options.trust)
    table, notes = predict_table(model, options.file, keep=options.keep, keep_all=options.keep_all)
    for note in notes:
        say(note)
    if options.output is None:
        print_csv(table)
    else:
        write_table(table, options.output)
    return 0


def load(uri: str, tracking_uri: str, trusted: Sequence[str] = ()) -> "ShippedModel":
    """Load a model with the safe loader, from MLflow or a directory.

    Args:
        uri: ``models:/...``, ``runs:/...`` or the directory of a downloaded model.
        tracking_uri: The MLflow store that knows the model.
        trusted: Types that an estimator of one's own may hold, beside those that skops trusts.

    Raises:
        ModelError: There is no such model, or it is not safe to load.
        TrackingError: The tracking server does not answer.
    """
    from hpo.estimators.loading import load_model

    if os.path.isdir(uri):
        return load_model(Path(uri), trusted)
    if not re.match(r"(models|runs):/[^/]", uri):
        raise ModelError(
            "model: this should be models:/NAME@ALIAS, models:/NAME/VERSION, models:/m-...,"
            f" runs:/... or a directory, not '{uri}'"
        )
    from hpo.tracking.model_files import load_logged_model

    return load_logged_model(uri, tracking_uri, trusted)
