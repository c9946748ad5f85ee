#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Fetches a data set from its official address, checks it, and prints the line for a configuration.
# What is there already is not fetched again, and a download that was cut goes on where it ended.
set -euo pipefail

usage() {
  cat <<'TEXT'
usage: tools/get_data.sh [--from URL] NAME [FOLDER]
  NAME        cifar10, cifar100, mnist, fashion_mnist or celeba
  FOLDER      where the data set is put; default: data/NAME
  --from URL  fetch the same files from another place: URL/FILE
The line for a configuration goes to standard output, everything else to standard error.
CelebA cannot be fetched by a program: the script says what to download, and checks it.
TEXT
}

checksums=$(dirname "$0")/get_data.md5  # as md5sum writes them
tries=5                                 # at one file

say() { echo "get_data: $*" >&2; }
fail() {
  say "$@"
  exit 1
}

# The MD5 sum that the file of that name must have.
checksum_of() {
  awk -v name="$1" '$2 == name { print $1; found = 1 } END { exit !found }' "$checksums" ||
    fail "$checksums: has no checksum of $1"
}

# has_checksum FILE NAME
has_checksum() { [[ $(md5sum <"$1" | cut -d ' ' -f 1) == "$(checksum_of "$2")" ]]; }

# download_once URL PART: goes on with the file PART, or begins it. Returns 3 if the server cannot go
# on with it, 4 if it does not have the file, and 1 for other failures.
download_once() {
  local url=$1 part=$2 code=0 answer show=()
  if command -v curl >/dev/null; then
    if [[ -t 2 ]]; then show=(--progress-bar); else show=(--silent --show-error); fi
    answer=$(curl "${show[@]}" --location --fail --continue-at - --output "$part" \
      --connect-timeout 30 --speed-limit 1000 --speed-time 60 --write-out '%{http_code}' "$url") || code=$?
    # 33: the server does not know ranges. 416: the part is as long as the file, or longer.
    if [[ $code == 33 || $answer == 416 ]]; then return 3; fi
    if [[ $code == 22 && $answer == 4* ]]; then return 4; fi
  elif command -v wget >/dev/null; then
    if [[ -t 2 ]]; then show=(--show-progress); fi
    wget --quiet "${show[@]}" --continue --tries=1 --timeout=60 --output-document="$part" "$url" || code=$?
    # 8: the server answers by an error: about the part, if there is one.
    if [[ $code == 8 && -s $part ]]; then return 3; fi
    if [[ $code == 8 ]]; then return 4; fi
  else
    fail "neither curl nor wget is installed"
  fi
  if ((code != 0)); then return 1; fi
}

# fetch URL FILE NAME: puts the file at the URL into FILE. NAME is what its checksum is listed under.
fetch() {
  local url=$1 file=$2 name=$3 part=$2.part try code
  if [[ -e $file ]]; then
    has_checksum "$file" "$name" || fail "$file: has another checksum than $name; move it away"
    say "$file is there"
    return
  fi
  if ! [[ -s $part ]] || ! has_checksum "$part" "$name"; then
    for ((try = 1; ; ++try)); do
      if [[ -s $part ]]; then say "going on with $url"; else say "fetching $url"; fi
      code=0
      download_once "$url" "$part" || code=$?
      if ((code == 0)); then break; fi
      if ((code == 4)); then fail "$url: the server does not have it"; fi
      if ((try == tries)); then
        fail "$url: not fetched after $tries tries; a later call goes on with what is there"
      fi
      if ((code == 3)); then rm "$part"; fi
      sleep 1
    done
  fi
  if ! has_checksum "$part" "$name"; then
    rm "$part"
    fail "$url: has a wrong checksum; removed"
  fi
  mv "$part" "$file"
}

# unpack ARCHIVE DIRECTORY: the directory that the archive makes appears whole or not at all.
unpack() {
  local archive=$1 directory=$2
  say "unpacking $archive"
  new=$(mktemp -d "$folder/.unpack-XXXXXX")
  trap 'rm -rf "$new"' EXIT
  case $archive in
    *.zip) if command -v unzip >/dev/null; then
        unzip -q "$archive" -d "$new"
      else
        python3 -m zipfile -e "$archive" "$new"
      fi ;;
    *) tar -xzf "$archive" -C "$new" --no-same-owner ;;
  esac
  mv "$new/$directory" "$folder/$directory"
  rm -rf "$new"
}

get_cifar() {
  local base=$1 archive=$2 directory=$3
  if [[ -d $folder/$directory ]]; then
    say "$folder/$directory is there"
    return
  fi
  fetch "$base/$archive" "$folder/$archive" "$archive"
  unpack "$folder/$archive" "$directory"
  rm "$folder/$archive"
}

get_idx() {
  local base=$1 kind=$2 file
  for file in {train,t10k}-{images-idx3,labels-idx1}-ubyte.gz; do
    fetch "$base/$file" "$folder/$file" "$kind/$file"
  done
}

check_celeba() {
  local page=https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html missing=()
  local pictures=img_align_celeba list=list_eval_partition.txt
  if [[ ! -d $folder/$pictures ]]; then
    if [[ -e $folder/$pictures.zip ]]; then
      has_checksum "$folder/$pictures.zip" "celeba/$pictures.zip" ||
        fail "$folder/$pictures.zip: has a wrong checksum; download it again"
      unpack "$folder/$pictures.zip" "$pictures"
    else
      missing+=("$pictures.zip (1.4 GB, in the folder Img)")
    fi
  fi
  if [[ ! -e $folder/$list ]]; then
    missing+=("$list (in the folder Eval)")
  elif ! has_checksum "$folder/$list" "celeba/$list"; then
    fail "$folder/$list: has a wrong checksum; download it again"
  fi
  if ((${#missing[@]} > 0)); then
    say "CelebA lies on Google Drive, from where no program can fetch it reliably. Open $page,"
    say "choose \"Align&Cropped Images\", download these files into $folder, and call this again:"
    printf 'get_data:   %s\n' "${missing[@]}" >&2
    exit 1
  fi
  say "$folder has the pictures and the partition"
}

from=
if [[ ${1:-} == --from && -n ${2:-} ]]; then
  from=${2%/}
  shift 2
fi
if [[ ${1:-} == -h || ${1:-} == --help ]]; then
  usage
  exit 0
fi
if (($# < 1 || $# > 2)) || [[ ! $1 =~ ^(cifar10|cifar100|mnist|fashion_mnist|celeba)$ || -z ${2-x} ]]; then
  usage >&2
  exit 2
fi
kind=$1
folder=${2:-data/$kind}
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)

case $kind in
  cifar10)
    say "CIFAR-10 by A. Krizhevsky, V. Nair and G. Hinton; no licence is stated. Cite: Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009"
    get_cifar "${from:-https://www.cs.toronto.edu/~kriz}" cifar-10-binary.tar.gz cifar-10-batches-bin
    ;;
  cifar100)
    say "CIFAR-100 by A. Krizhevsky, V. Nair and G. Hinton; no licence is stated. Cite: Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009"
    get_cifar "${from:-https://www.cs.toronto.edu/~kriz}" cifar-100-binary.tar.gz cifar-100-binary
    ;;
  mnist)
    say "MNIST by Y. LeCun and C. Cortes; licence CC BY-SA 3.0. The authors' page no longer has the files; PyTorch's copy is fetched"
    get_idx "${from:-https://ossci-datasets.s3.amazonaws.com/mnist}" mnist
    ;;
  fashion_mnist)
    say "Fashion-MNIST by H. Xiao, K. Rasul and R. Vollgraf (Zalando SE); MIT licence"
    get_idx "${from:-http://fashion-mnist.s3-website.eu-central-1.amazonaws.com}" fashion_mnist
    ;;
  celeba)
    say "CelebA by Z. Liu, P. Luo, X. Wang and X. Tang; for non-commercial research only"
    check_celeba
    ;;
esac
say "for a configuration:"
# In YAML's double quotes, \ and " are written \\ and \"; in a path, $$ is a $.
path=${folder//\\/\\\\}
path=${path//\"/\\\"}
path=${path//\$/\$\$}
echo "data: {kind: $kind, path: \"$path\"}"
