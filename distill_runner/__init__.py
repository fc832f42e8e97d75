"""Knowledge distillation of text classifiers, from YAML to a table."""

__version__ = "0.1.0"
