"""How does `python -m bench` start? As the installed `bench` does."""

from bench.cli import main

main()
