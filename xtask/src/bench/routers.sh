# Routers of neutron on one host: keepalived and a monitor for each, then the same by outlast. Runs in namespaces of its own
# (`unshare --net --mount --pid`), which end all of it. Prints `figure NAME PEER OURS`; what it does goes to standard error.
# Of the caller: OUTLAST, ROUTERS, SECONDS_OF_CPU, FAILOVER (1 or 0); NEUTRON: where neutron's own programs are, if they are there.
set -u
say() { echo "$*" >&2; }
mount -t tmpfs outlast /run
W=/run/bench; mkdir -p $W/bin $W/a $W/b
for name in outlast keepalived neutron-keepalived-state-change; do ln -s "$OUTLAST" $W/bin/$name; done

say "making $ROUTERS pairs of namespaces"
for i in $(seq $ROUTERS); do echo "netns add a$i"; echo "netns add b$i"; done | ip -batch -
for i in $(seq $ROUTERS); do
    echo "link add name ha-1 netns a$i type veth peer name ha-1 netns b$i"
done | ip -batch -
for i in $(seq $ROUTERS); do
    for host in a b; do
        [ $host = a ] && own=1 || own=2
        printf 'link set lo up\naddress add 169.254.192.%s/18 dev ha-1\nlink set ha-1 up\n' $own | ip -n $host$i -batch -
        mkdir $W/$host/$i
        sed "s/ID/$i/" > $W/$host/$i/keepalived.conf <<X
global_defs {
    notification_email_from neutron@openstack.local
    router_id neutron
}
vrrp_instance VR_1 {
    state BACKUP
    interface ha-1
    virtual_router_id 1
    priority 50
    garp_master_delay 60
    nopreempt
    advert_int 2
    track_interface {
        ha-1
    }
    virtual_ipaddress {
        169.254.0.1/24 dev ha-1
    }
    virtual_ipaddress_excluded {
        10.1.0.1/24 dev ha-1 no_track
        172.24.4.10/24 dev ha-1 no_track
        172.24.4.77/32 dev ha-1 no_track
        fe80::f816:3eff:fe00:1/64 dev ha-1 scope link no_track
    }
    virtual_routes {
        0.0.0.0/0 via 172.24.4.1 dev ha-1 no_track protocol static
    }
}
X
    done
done
# What neutron's own monitor does, in as little memory as a shell needs.
cat > $W/monitor <<'X'
ip -o monitor address | while read -r _ device _ address _; do
    [ "$device $address" = "ha-1 169.254.0.1/24" ] && echo primary > "$1/state"
done
X
# Neutron's agent.
python3 - $W <<'X' &
import socketserver, sys
class Agent(socketserver.StreamRequestHandler):
    def handle(self):
        while self.rfile.readline().strip():
            pass
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    request_queue_size = 1024
    daemon_threads = True
Server(sys.argv[1] + "/keepalived-state-change", Agent).serve_forever()
X
AGENT=$!

# Numbers of all processes but this script and the agent.
others() { for p in /proc/[0-9]*; do p=${p#/proc/}; [ $p = $$ ] || [ $p = $AGENT ] || echo $p; done; }
list() { others > $W/all; grep -vx "$BASHPID" $W/all > $W/pids; }
memory() { # Pss and private memory in kB, number of processes
    list
    while read -r p; do cat /proc/$p/smaps_rollup 2>/dev/null; done < $W/pids |
        awk '/^Pss:/ {pss += $2; n++} /^Private_(Clean|Dirty):/ {own += $2} END {print pss, own, n}'
}
# By the scheduler's own clock: most of them run for less than a tick.
spent() { while read -r p; do cat /proc/$p/task/*/schedstat 2>/dev/null; done < $W/pids | awk '{t += $1} END {printf "%.6f", t / 1e9}'; }
cpu() { # seconds of processor time in a minute
    local before=$(spent); sleep $SECONDS_OF_CPU; local after=$(spent)
    awk -v t=$before -v u=$after -v s=$SECONDS_OF_CPU 'BEGIN {printf "%.2f", (u - t) * 60 / s}'
}
holders() { # of that host, by the kernel's word
    for i in $(seq $ROUTERS); do echo "address show dev ha-1 to 169.254.0.1/24" | ip -o -n $1$i -batch -; done | grep -c 169.254.0.1
}
await() { # HOST: until it holds all, two minutes at most
    local end=$((SECONDS + 120))
    until [ $(holders $1) = $ROUTERS ]; do [ $SECONDS -lt $end ] || { say "host $1 holds $(holders $1) only"; exit 1; }; sleep 1; done
}
finish() { list; xargs -r kill -$1 < $W/pids 2>/dev/null; local end=$((SECONDS + 60)); while list; [ -s $W/pids ] && [ $SECONDS -lt $end ]; do sleep 0.5; done; }

say "keepalived and a monitor for each"
for i in $(seq $ROUTERS); do
    ip netns exec a$i keepalived -P -f $W/a/$i/keepalived.conf -p $W/a/$i/pid -r $W/a/$i/pid-vrrp
done
await a; sleep 5
set -- $(memory); alone=$1
for i in $(seq $ROUTERS); do ip netns exec a$i sh $W/monitor $W/a/$i > /dev/null 2>&1 & done
sleep 5
set -- $(memory); pss=$1 own=$2 number=$3; seconds=$(cpu)
say "keepalived: $pss kB, $own kB private, $number processes, $seconds s of processor time a minute"
finish TERM; finish KILL

# The monitor of neutron 2025.1, a Python each: of eight of them what one costs.
python=-
if [ -x "${NEUTRON:-}/bin/neutron-keepalived-state-change" ]; then
    say "eight monitors of neutron's own"
    for i in 1 2 3 4 5 6 7 8; do
        PYTHONPATH=$NEUTRON $NEUTRON/bin/neutron-keepalived-state-change --router_id=$i --namespace=a$i --conf_dir=$W/a/$i \
            --monitor_interface=ha-1 --monitor_cidr=169.254.0.1/24 --pid_file=$W/a/$i/monitor --state_path=$W --user=0 --group=0
    done
    end=$((SECONDS + 120))
    until [ $(cat $W/a/[1-8]/state 2>/dev/null | grep -o backup | wc -l) = 8 ]; do [ $SECONDS -lt $end ] || break; sleep 0.5; done
    sleep 5
    set -- $(memory); [ "${3:-0}" -ge 8 ] && python=$((alone + $1 / 8 * ROUTERS))
    say "eight of neutron's monitors: $1 kB; keepalived alone: $alone kB"
    finish TERM; finish KILL
fi

start() { # HOST
    "$W/bin/outlast" routers --socket $W/$1.sock > $W/$1.log 2>&1 &
    until [ -S $W/$1.sock ]; do sleep 0.1; done
    for i in $(seq $ROUTERS); do
        OUTLAST_ROUTERS=$W/$1.sock $W/bin/neutron-keepalived-state-change --router_id=$i --namespace=$1$i --conf_dir=$W/$1/$i \
            --monitor_interface=ha-1 --monitor_cidr=169.254.0.1/24 --pid_file=$W/$1/$i/monitor --state_path=$W --user=0 --group=0
        OUTLAST_ROUTERS=$W/$1.sock ip netns exec $1$i $W/bin/keepalived -P -f $W/$1/$i/keepalived.conf -p $W/$1/$i/pid -r $W/$1/$i/pid-vrrp
    done
}
masters() { $W/bin/outlast routers --list --json --socket $W/$1.sock | grep -c '"role":"master"'; }
say "outlast"
start a
await a; sleep 5
set -- $(memory); our_pss=$1 our_own=$2 our_number=$3; our_seconds=$(cpu)
say "outlast: $our_pss kB, $our_own kB private, $our_number processes, $our_seconds s of processor time a minute"
echo "figure pss $pss $our_pss"
echo "figure python $python $our_pss"
echo "figure private $own $our_own"
echo "figure processes $number $our_number"
echo "figure cpu $seconds $our_seconds"

if [ "$FAILOVER" = 1 ]; then
    say "all of host a end, host b takes over"
    start b
    sleep 3
    [ $(masters b) = 0 ] || { say "host b took something"; exit 1; }
    began=$(date +%s%N)
    cat $W/a/*/pid | xargs kill -KILL
    until [ $(grep -c "is released" $W/a.log) -ge $ROUTERS ]; do [ $(($(date +%s%N) - began)) -lt 60000000000 ] || break; sleep 0.05; done
    echo "figure released - $((($(date +%s%N) - began) / 1000000))"
    until [ $(masters b) = $ROUTERS ]; do [ $(($(date +%s%N) - began)) -lt 60000000000 ] || break; sleep 0.2; done
    took=$((($(date +%s%N) - began) / 1000000))
    two=$(holders a)
    say "host b: $(masters b) after $took ms, by the kernel $(holders b), host a still $two"
    echo "figure failover - $took"
    echo "figure two-holders - $two"
    say "the process of all routers of host b is killed"
    began=$(date +%s%N)
    worker=$(ps -eo pid,ppid,args | awk '/role routers/ && !/awk/ {print $1}' | tail -1)
    kill -KILL $worker
    sleep 0.05
    until [ $(masters b) = $ROUTERS ]; do [ $(($(date +%s%N) - began)) -lt 60000000000 ] || break; sleep 0.1; done
    echo "figure adoption - $((($(date +%s%N) - began) / 1000000))"
    echo "figure lost - $((ROUTERS - $(holders b)))"
fi
