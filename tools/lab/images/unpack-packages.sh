#!/bin/bash
# usage: unpack-packages.sh        in the chroot: the files of /run/cache/*.deb, without the packages' scripts
#
# The scripts of postgresql-15 would make a user and a database cluster. Left out: what its just-in-time
# compiler and its set-up scripts need, 200 MB of which a server started by hand uses nothing.
set -euo pipefail
for deb in /run/cache/*.deb; do
  case ${deb##*/} in
    libllvm* | libz3* | libperl* | perl* | postgresql-*-common* | ssl-cert*) continue ;;
  esac
  dpkg-deb --fsys-tarfile "$deb" | tar --extract --keep-directory-symlink --directory /
done
