"""``python -m neuroalign`` is the ``neuroalign`` command."""

from neuroalign.cli import main

if __name__ == "__main__":
    main()
