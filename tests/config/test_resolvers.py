"""Resolvers that copy the chosen options into `config.yaml`."""

from __future__ import annotations

from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from distill_runner.config.compose import config_path, register_schema


def started(*overrides: str) -> DictConfig:
    """The configuration with the node in which Hydra says what was chosen."""
    register_schema()
    HydraConfig.instance().cfg = None
    with initialize_config_dir(config_path(), version_base="1.3"):
        return compose("config", overrides=list(overrides), return_hydra_config=True)


def test_an_experiment_is_called_by_its_files_name() -> None:
    assert started("experiment=mutual-1-twins").experiment == "mutual-1-twins"
    assert started("experiment=slides", "method=kd").experiment == "slides"
    assert started("method=kd").experiment is None


def test_a_runs_folder_is_called_by_method_data_student_and_a_typed_seed() -> None:
    config = started("method=kd", "dataset=rte", "student=bert", "seed=7", "hydra.mode=RUN")
    assert config.output_dir.endswith("_kd_rte_bert_seed7")
