"""How do `python -m genmodel_bench`, and in a clone `python -m bench`, start? As the installed `bench` does."""

from genmodel_bench.cli.main import main

main()
