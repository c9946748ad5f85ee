# SPDX-License-Identifier: MIT
"""A web server for tests of downloads: serves the files of a folder on the loopback, and prints its
port. Standard library only.

    python serve_ranges.py FOLDER [--cut N] [--no-ranges]

--cut N       the first answer for each file ends after N bytes, as if the network had failed
--no-ranges   every answer is the whole file

Every request is a line on standard error: the path, and where the answer begins.
"""
import argparse
import http.server
import pathlib
import re
import sys

parser = argparse.ArgumentParser()
parser.add_argument("folder", type=pathlib.Path)
parser.add_argument("--cut", type=int, default=0)
parser.add_argument("--no-ranges", action="store_true")
options = parser.parse_args()
asked = set()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        file = options.folder / self.path.lstrip("/")
        if not file.is_file():
            self.send_error(404)
            return
        contents = file.read_bytes()
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        begin = int(wanted[1]) if wanted and not options.no_ranges else 0
        print(self.path, begin, file=sys.stderr, flush=True)
        if begin and begin >= len(contents):
            self.send_error(416)
            return
        self.send_response(206 if begin else 200)
        if begin:
            last = len(contents) - 1
            self.send_header("Content-Range", f"bytes {begin}-{last}/{len(contents)}")
        self.send_header("Content-Length", str(len(contents) - begin))
        self.end_headers()
        is_cut = options.cut > 0 and self.path not in asked
        asked.add(self.path)
        self.wfile.write(contents[begin:begin + options.cut] if is_cut else contents[begin:])

    def log_message(self, *arguments):
        pass


server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
