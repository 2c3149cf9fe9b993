#!/bin/sh
# All measurements on a GPU, in under eight minutes:
#   sh scripts/benchmark/gpu.sh DATA OUT
# DATA holds cifar10-jpeg.tar.xz; OUT gets a file for each question. PYTHON names the interpreter (python3).
set -eu
data=$(cd "$1" && pwd)
mkdir -p "$2"
out=$(cd "$2" && pwd)
python=${PYTHON:-python3}
here=$(cd "$(dirname "$0")" && pwd)
export BNEXP_DATA="$data" PYTHONUNBUFFERED=1
cd "$here/../.."

measure() {
    name=$1
    shift
    echo "== $name"
    timeout 240 "$python" "$here/$name.py" "$@" > "$out/$name.txt" 2> "$out/$name.err" || echo "ended with status $?"
    grep -v '^{' "$out/$name.txt" || tail -n 20 "$out/$name.err"
}

measure replicas
measure throughput --workers 8 --epochs 20

echo "== the case study on photographs of 10 classes: 7 arms, 10 seeds, 20 epochs; the whole process"
photographs=$(mktemp -d)
trap 'rm -rf "$photographs"' EXIT
tar -xJf "$data/cifar10-jpeg.tar.xz" -C "$photographs"
started=$(date +%s)
timeout 300 "$python" -m bnexp study case_study seeds=10 target=0.7 dataset=image_folder "dataset.root=$photographs" \
    model.depth=3 model.width=32 augment=crop_flip schedule=cosine optimizer.lr=0.05 training.batch_size=128 \
    training.epochs=20 training.precision=tf32 "output_dir=$out/case_study" > "$out/case_study.txt" 2>&1 ||
    echo "ended with status $?"
tail -n 12 "$out/case_study.txt"
echo "$(($(date +%s) - started)) s (at most 180)"

measure packing
