#!/bin/sh
# Install the peers of the benchmarks, each in a virtual environment of its own.
#
#     sh benchmarks/peers/setup.sh [careamics] [n2v] [bm3d] [ndsafir]      # default: all
#
# They go to .peers beside benchmarks/ (or $UNNOISE_PEERS) and need about 3.6 GB: CAREamics 1.6, n2v
# 1.7, bm3d 0.3, ndsafir 0.1. PYTHON chooses the interpreter (3.11; n2v alone takes 3.9 to 3.11, for TensorFlow
# 2.15). What cannot be installed is said to be missing, and the exit status is 1.
#
# CAREamics gets a CPU build of torch ($TORCH): the requirements of its own package would bring CUDA
# libraries of 4 GB through torchvision. Where pip does not find the build, point PIP_EXTRA_INDEX_URL
# to the CPU index that PyTorch offers. bm3d is free for noncommercial use only.
set -u

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
folder=${UNNOISE_PEERS:-$here/../../.peers}
python=${PYTHON:-python3}
torch=${TORCH:-torch==2.13.0+cpu}
missing=0

# peer NAME: make its environment and run install_NAME and check_NAME there, or say that it is missing
peer() {
    pip="$folder/$1/bin/python -m pip --quiet --disable-pip-version-check install"
    echo "$1: installing"
    if "$python" -m venv "$folder/$1" && "install_$1" && (cd "$here" && "check_$1") >/dev/null 2>&1; then
        echo "$1: installed"
    else
        echo "$1: missing (could not be installed with $python)" >&2
        rm -rf "$folder/$1"
        missing=1
    fi
}

# n2v asks for csbdeep below 0.8; old packages import pkg_resources, gone from setuptools 81 on
install_n2v() {
    $pip "tensorflow-cpu==2.15.1" "numpy<2" "n2v==0.3.3" "setuptools<81"
}
check_n2v() { "$folder/n2v/bin/python" -c "import n2v.models, csbdeep"; }

# Its requirements less torchvision, which is not used here and not to be had without CUDA
install_careamics() {
    $pip "$torch" &&
        $pip "$torch" "bioimageio-core>=0.9,<=0.11.0" "lightning!=2.6.2,!=2.6.3,>=2.2,<=2.6.6" \
            "matplotlib<=3.11.2" "microssim<=0.0.5" "numpy<=2.4.6" "pillow<=13.0.0" "psutil<=7.2.2" \
            "pydantic>=2.11,<=2.14.1" "pyyaml!=6.0.0,<=6.0.3" "scikit-image<=0.26.0" \
            "tifffile<=2026.3.3" "torchmetrics>0.7.0,<1.9.0" "zarr>=3,<4" &&
        $pip --no-deps "careamics==0.3.5"
}
check_careamics() { "$folder/careamics/bin/python" -c "import careamics_here, careamics"; }

install_bm3d() { $pip "bm3d==4.0.3"; }
check_bm3d() { "$folder/bm3d/bin/python" -c "import bm3d"; }

install_ndsafir() { $pip "ndsafir==2026.1014a0"; }
check_ndsafir() { "$folder/ndsafir/bin/python" -c "import ndsafir"; }

mkdir -p "$folder"
folder=$(CDPATH='' cd -- "$folder" && pwd)
for name in "${@:-all}"; do
    case $name in
        all) peer bm3d; peer careamics; peer n2v; peer ndsafir ;;
        bm3d | careamics | n2v | ndsafir) peer "$name" ;;
        *) echo "unknown peer $name; the peers are careamics, n2v, bm3d and ndsafir" >&2; missing=1 ;;
    esac
done
exit $missing
