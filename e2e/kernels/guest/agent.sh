# Sourced by the checks in the virtual machine: a configuration, and an API server that is not there. This is enough for
# the agent to come to its datapath and its socket.
# AGENT: the program; CAPABILITIES: those that the chart gives the agent, as "+net_admin,+bpf".
mkdir -p /etc/eni /var/run/eni /host-etc-net.d
cat >/etc/eni/eni_conf <<'J'
{"version":"1","ipam_type":"crd","ip_stack":"ipv4"}
J
cat >/etc/eni/10-terway.conf <<'J'
{"cniVersion":"0.4.0","name":"terway","type":"terway","eniip_virtual_type":"veth","capabilities":{"bandwidth":true}}
J
cat >/tmp/kubeconfig <<'J'
{"apiVersion":"v1","kind":"Config","current-context":"x","clusters":[{"name":"x","cluster":{"server":"http://127.0.0.1:1"}}],"users":[{"name":"x","user":{"token":"x"}}],"contexts":[{"name":"x","context":{"cluster":"x","user":"x"}}]}
J
export KUBECONFIG=/tmp/kubeconfig NODE_NAME=node1 NODE_IP=10.0.0.11 RUST_LOG=info NO_COLOR=1
modprobe -q tun
ip tuntap add eth0 mode tap
ip link set eth0 up
ip addr add 10.0.0.11/24 dev eth0
ip route replace default via 10.0.0.253 dev eth0 onlink
failed=0
log=/tmp/agent.log

passed() { echo "ok      $1"; }
missed() { # CHECK WHY
    echo "FAILED  $1: $2"
    failed=1
}

# Whether the command, which runs an agent, comes to serve. Ends the agent.
comes_to_serve() {
    rm -f $log
    "$@" >$log 2>&1 &
    local agent=$! tries=0
    while kill -0 $agent 2>/dev/null && ! grep -q serving $log && [ $tries -lt 900 ]; do
        tries=$((tries + 1))
        sleep 0.1
    done
    kill $agent 2>/dev/null
    wait $agent 2>/dev/null
    grep -q serving $log
}

serves() { # CHECK COMMAND..
    local check=$1; shift
    if comes_to_serve "$@"; then passed "$check"; else missed "$check" "$(grep -v '^$' $log | tail -2)"; fi
}

refuses() { # CHECK WORDS COMMAND..: the agent does not serve and says these words
    local check=$1 words=$2; shift 2
    if comes_to_serve "$@"; then
        missed "$check" "the agent serves"
    elif grep -qF -- "$words" $log; then
        passed "$check"
    else
        missed "$check" "it does not say '$words', but: $(grep -v '^$' $log | tail -2)"
    fi
}

# Becomes a command with these capabilities only ("+net_admin,+bpf"). To be called in a process of its own.
with() {
    local capabilities=$1; shift
    exec setpriv --no-new-privs --inh-caps="-all,$capabilities" --bounding-set="-all,$capabilities" "$@"
}

agent=("$AGENT" --sysctl-dir=/proc/sys/net --cni-conf-dir=/host-etc-net.d --health=127.0.0.1:9099 --metrics=0)
