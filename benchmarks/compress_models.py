"""Compress frozen models, one after another in one process: ``compress_models.py FOLDER SHORTEST MODEL ...``.

``dp compress`` needs the shortest distance between atoms of the training data (Å). Models that were trained without
neighbour statistics do not hold it; it is put into their graph. The results are ``FOLDER/0.pb`` ...
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

NAME = "train_attr/min_nbor_dist"


def with_shortest(model: Path, shortest: float, target: Path) -> None:
    """Write a model that holds the shortest distance; one that holds it already is written as it is."""
    from deepmd.tf.env import GLOBAL_ENER_FLOAT_PRECISION, tf

    graph = tf.GraphDef()
    graph.ParseFromString(model.read_bytes())
    if all(node.name != NAME for node in graph.node):
        with tf.Graph().as_default() as holder:
            tf.constant(shortest, name=NAME, dtype=GLOBAL_ENER_FLOAT_PRECISION)
            graph.MergeFrom(holder.as_graph_def())
    target.write_bytes(graph.SerializeToString())


def main() -> None:
    folder, shortest = Path(sys.argv[1]), float(sys.argv[2])
    models = [Path(model).resolve() for model in sys.argv[3:]]
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    from deepmd.tf.entrypoints import compress
    from deepmd.tf.env import tf

    os.chdir(folder)
    for number, model in enumerate(models):
        with_shortest(model, shortest, Path("whole.pb"))
        tf.reset_default_graph()
        compress(
            input="whole.pb",
            output=f"{number}.pb",
            extrapolate=5,
            step=0.01,
            frequency="-1",
            checkpoint_folder="model-compression",
            training_script=None,
            mpi_log="master",
            log_path=None,
            log_level=30,
        )


if __name__ == "__main__":
    main()
