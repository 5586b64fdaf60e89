"""A fleet's signer as a command: a CA that signs what comes on standard input."""

import stat
from pathlib import Path

from exporter.demo.authorities import GATEWAY_NAME

_SCRIPT = """\
#!/bin/sh
# CA without suffix, days. The request comes on standard input, the chain goes to standard output;
# what is written beside this is left out
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fault=$(cat "$0.fault" 2>/dev/null || true)
cat > "$work/request.pem"
printf 'basicConstraints=critical,CA:FALSE\\nextendedKeyUsage=serverAuth\\n' > "$work/extensions"
copy="-copy_extensions copy"
if [ "$fault" = name ]; then
  copy=""
  printf 'subjectAltName=DNS:NAME\\n' >> "$work/extensions"
fi
openssl x509 -req -in "$work/request.pem" -CA "$1.pem" -CAkey "$1.key" -days "${2:-30}" \\
  $copy -extfile "$work/extensions" -out "$work/leaf.pem" 2> "$work/said" \\
  || { cat "$work/said" >&2; exit 1; }
cat "$work/leaf.pem"
[ "$fault" = intermediate ] || cat "$1.pem"
""".replace("NAME", GATEWAY_NAME)
_NAME = "sign.sh"


def write_signer(folder: Path, authority: Path) -> list[str]:
    """A signer's command; ``authority``: path of a certificate and key, without suffix."""
    script = folder / _NAME
    script.write_text(_SCRIPT)
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    return [str(script), str(authority)]


def sign_with_fault(folder: Path, fault: str) -> None:
    """Let the signer leave out the ``intermediate`` or a ``name``; empty: nothing."""
    unnamed = folder / f"{_NAME}.fault.new"
    unnamed.write_text(fault)
    unnamed.rename(folder / f"{_NAME}.fault")  # it signs at any moment
