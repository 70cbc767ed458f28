#!/usr/bin/env python3
"""Runs protoc over the closed Envoy API at build time.

In: envoy.desc and files.txt of scripts/fetch-protos. Out, under OUT: protoc's tree, one flat
unit per file that includes its .pb.cc (meson's custom targets cannot name outputs in subfolders),
and xds_generated.h, the stamp whose presence says that all headers are there.

    generate.py PROTOC ENVOY_DESC FILES_TXT OUT
"""
import pathlib
import subprocess
import sys

WELL_KNOWN = ['any', 'descriptor', 'duration', 'empty', 'field_mask', 'struct', 'timestamp', 'wrappers']


def write_if_changed(path, text):
    if not path.is_file() or path.read_text() != text:
        path.write_text(text)


def main():
    protoc, desc, files_txt, out = sys.argv[1], sys.argv[2], sys.argv[3], pathlib.Path(sys.argv[4])
    files = pathlib.Path(files_txt).read_text().split()
    well_known = out / 'well_known.desc'
    subprocess.run([protoc, '--include_imports', '-o', str(well_known)] +
                   [f'google/protobuf/{name}.proto' for name in WELL_KNOWN], check=True)
    subprocess.run([protoc, f'--descriptor_set_in={well_known}:{desc}', f'--cpp_out={out}'] + files,
                   check=True)
    for file in files:
        base = file.removesuffix('.proto')
        unit = out / (base.replace('/', '_') + '.pb.cc')
        write_if_changed(unit, f'#include "{base}.pb.cc"\n')
    (out / 'xds_generated.h').write_text('#pragma once\n')


if __name__ == '__main__':
    main()
