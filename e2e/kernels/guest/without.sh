# without.sh nf_tables|ipv6: the agent serves what it can where the kernel lacks a part, and names what is missing.
. "$(dirname "$0")/agent.sh"
case $1 in
nf_tables)
    # As the part's module were not built.
    echo 'install nf_tables /bin/false' >/etc/modprobe.d/without.conf
    serves "without nf_tables" with "$CAPABILITIES" "${agent[@]}"
    if grep -q nf_tables $log; then passed "nf_tables is named"; else missed "nf_tables is named" "$(tail -2 $log)"; fi
    sed -i 's/"type"/"symmetric_routing":false,"type"/' /etc/eni/10-terway.conf
    serves "without nf_tables, symmetric_routing false" with "$CAPABILITIES" "${agent[@]}"
    ;;
ipv6)
    [ ! -e /proc/sys/net/ipv6 ] || missed "ipv6.disable=1" "the kernel has IPv6"
    serves "without IPv6" with "$CAPABILITIES" "${agent[@]}"
    ;;
esac
exit $failed
