# For the scripts that build Go programs, which source this file. Puts the Go toolchain on PATH, or fails with a hint.
# The caller defines fail().
# shellcheck shell=bash

go_minimum=24 # the 1.x of Go that the go.mod files of Kubernetes 1.34 and CoreDNS 1.13 require

command -v go >/dev/null || PATH=$PATH:/usr/local/go/bin
command -v go >/dev/null || fail "no Go toolchain; install Go 1.$go_minimum or newer (https://go.dev/dl) and put it on PATH"
go_minor=$(go env GOVERSION | sed -n 's/^go1\.\([0-9]*\).*/\1/p')
[ -z "$go_minor" ] || [ "$go_minor" -ge $go_minimum ] || fail "$(go env GOVERSION) is too old; install Go 1.$go_minimum or newer"
