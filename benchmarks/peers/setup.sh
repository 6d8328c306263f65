#!/bin/sh
# Install the peers of benchmarks/parity.py, each in a virtual environment of its own.
#
#     sh benchmarks/peers/setup.sh [FOLDER]      # default: .peers beside benchmarks/
#
# Needs about 1.7 GB. PYTHON chooses the interpreter (3.9 to 3.11: TensorFlow 2.15).
set -u

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
folder=${1:-$here/../../.peers}
python=${PYTHON:-python3}
missing=0

# peer NAME MODULES REQUIREMENT...: install, then import, or say that it is missing
peer() {
    name=$1 modules=$2
    shift 2
    if "$python" -m venv "$folder/$name" &&
        "$folder/$name/bin/python" -m pip install --quiet --disable-pip-version-check "$@" &&
        "$folder/$name/bin/python" -c "import $modules" 2>/dev/null; then
        echo "$name: installed"
    else
        echo "$name: missing (could not be installed with $python)" >&2
        missing=1
    fi
}

mkdir -p "$folder"
# n2v asks for csbdeep below 0.8; old packages import pkg_resources, gone from setuptools 81 on
peer n2v "n2v.models, csbdeep" \
    "tensorflow-cpu==2.15.1" "numpy<2" "n2v==0.3.3" "setuptools<81"
exit $missing
