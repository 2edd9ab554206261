#!/usr/bin/env bash
# Real brokers for the tests of the companion, on loopback, on ports and in folders of their own.
#
#   scripts/brokers.sh install         RabbitMQ (Debian), Apache Kafka (Maven), moto for SQS (pip); once
#   scripts/brokers.sh up              starts what is installed; writes .inlet/brokers/env
#   scripts/brokers.sh down            ends what `up` started
#   scripts/brokers.sh stop NAME       one of rabbitmq, kafka, sqs, pubsub: ends it, its data stays
#   scripts/brokers.sh start NAME      starts it again where it was
#   scripts/brokers.sh kafka-scram USER PASSWORD    sets a password for SCRAM-SHA-512; an empty one removes it
#   scripts/brokers.sh rabbitmqctl ARGUMENTS
#
# A broker that cannot be had is told with its reason, and its tests say SKIPPED-BROKER. Other servers can be tested by
# setting the variables of the env file by hand. BROKERS_HOME (.inlet/brokers) is where everything of a run lives.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

TOOLS_HOME="$ROOT/.tools/brokers"
HOME_DIR=${BROKERS_HOME:-$ROOT/.inlet/brokers}
ENV_FILE="$HOME_DIR/env"
ALL=(rabbitmq kafka sqs pubsub)

has() { command -v "$1" >/dev/null 2>&1; }

# The folder of a run; what is not known to be one is not written into, nor removed.
home() {
  if [ ! -d "$HOME_DIR" ] || [ -z "$(ls -A "$HOME_DIR")" ]; then mkdir -p "$HOME_DIR" && : >"$HOME_DIR/.inlet-brokers"; fi
  [ -e "$HOME_DIR/.inlet-brokers" ] || [ "$HOME_DIR" = "$ROOT/.inlet/brokers" ] ||
    die "BROKERS_HOME=$HOME_DIR was not made by this script: name a folder that is empty or not there."
}

alive() { [ -s "$1" ] && kill -0 "$(cat "$1")" 2>/dev/null; }
missing() { say "  --  $1: $2"; home && printf '%s\n' "$2" >"$HOME_DIR/missing.$1"; }
there() { say "  ok  $1"; }

# --- install ---------------------------------------------------------------------------------------------------------

rabbit_server() { compgen -G '/usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin/rabbitmq-server' | tail -n 1; }
emulator_jar() { compgen -G '/usr/lib/google-cloud-sdk/platform/pubsub-emulator/lib/cloud-pubsub-emulator-*-all.jar' | tail -n 1; }
kafka_ready() { [ -f "$TOOLS_HOME/kafka/.complete" ] && cmp -s "$TOOLS_HOME/kafka/.complete" "$ROOT/scripts/brokers/pom.xml"; }
moto_ready() { [ -x "$TOOLS_HOME/moto/bin/moto_server" ] && cmp -s "$TOOLS_HOME/moto/.complete" "$ROOT/scripts/brokers/requirements.txt"; }

install_rabbitmq() {
  [ -n "$(rabbit_server)" ] || apt_install rabbitmq-server >&2 || true
  [ -n "$(rabbit_server)" ] && there "rabbitmq" || missing rabbitmq "not installed; Debian, Ubuntu: sudo apt-get install rabbitmq-server"
}

install_kafka() {
  has java || { missing kafka "java is not on PATH (17 or newer)"; return; }
  if ! kafka_ready; then
    has mvn || { missing kafka "mvn is not on PATH, which fetches its jars"; return; }
    rm -rf "$TOOLS_HOME/kafka" && mkdir -p "$TOOLS_HOME/kafka"
    mvn -q -B -f "$ROOT/scripts/brokers/pom.xml" dependency:copy-dependencies -DincludeScope=runtime \
      -DoutputDirectory="$TOOLS_HOME/kafka" </dev/null >&2 || { missing kafka "mvn could not fetch its jars"; return; }
    cp "$ROOT/scripts/brokers/pom.xml" "$TOOLS_HOME/kafka/.complete"
  fi
  there "kafka"
}

install_sqs() {
  has python3 || { missing sqs "python3 is not on PATH"; return; }
  if ! moto_ready; then
    rm -rf "$TOOLS_HOME/moto" && mkdir -p "$TOOLS_HOME"
    python3 -m venv "$TOOLS_HOME/moto" >&2 &&
      "$TOOLS_HOME/moto/bin/pip" install -q --no-deps --disable-pip-version-check -r "$ROOT/scripts/brokers/requirements.txt" >&2 ||
      { missing sqs "pip could not install moto"; return; }
    cp "$ROOT/scripts/brokers/requirements.txt" "$TOOLS_HOME/moto/.complete"
  fi
  there "sqs (moto)"
}

install_pubsub() {
  if [ -n "$(emulator_jar)" ] && has java; then there "pubsub (Google's emulator)"; else
    missing pubsub "Google's emulator is not there; it comes with the package google-cloud-cli-pubsub-emulator"
  fi
}

# --- start and stop --------------------------------------------------------------------------------------------------

# free_ports COUNT: ports that nobody listens on.
free_ports() {
  node -e 'const net=require("net");const n=+process.argv[1];const s=[];let left=n;
    for(let i=0;i<n;i++){const x=net.createServer();s.push(x);x.listen(0,"127.0.0.1",()=>{if(--left)return;
    console.log(s.map(y=>y.address().port).join(" "));s.forEach(y=>y.close())})}' "$1"
}

# wait_for SECONDS PIDFILE COMMAND...: until it succeeds, as long as the process lives.
wait_for() {
  local until=$((SECONDS + $1)) pidfile=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    alive "$pidfile" || return 1
    [ "$SECONDS" -lt "$until" ] || return 1
    sleep 0.1
  done
  alive "$pidfile"
}

# end PIDFILE SECONDS WORD: asks the process to end, then makes it. Its command has WORD in it: after a restart of the machine
# the number may be another's.
end() {
  local pid until=$((SECONDS + $2))
  [ -s "$1" ] || return 0
  pid=$(cat "$1")
  case "$(ps -ww -o args= -p "$pid" 2>/dev/null || true)" in *"$3"*) ;; *) rm -f "$1"; return 0 ;; esac
  kill -TERM "$pid" 2>/dev/null || { rm -f "$1"; return 0; }
  while kill -0 "$pid" 2>/dev/null; do
    if [ "$SECONDS" -ge "$until" ]; then kill -KILL "$pid" 2>/dev/null || true; fi
    sleep 0.05
  done
  rm -f "$1"
}

port_open() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
get() { node -e 'fetch(process.argv[1]).then(r=>process.exit(r.ok?0:1),()=>process.exit(1))' "$1"; }

# A CA and a certificate for 127.0.0.1, for both brokers that speak TLS; and one for a client.
certificates() {
  local dir="$HOME_DIR/tls"
  [ -f "$dir/stranger.pem" ] && return
  mkdir -p "$dir"
  (
    cd "$dir"
    openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj '/CN=Inlet test CA' -keyout ca.key -out ca.pem
    for name in server client; do
      openssl req -newkey rsa:2048 -nodes -subj "/CN=$name" -keyout $name.key -out $name.csr
      printf 'subjectAltName=IP:127.0.0.1,DNS:localhost\n' >$name.ext
      openssl x509 -req -in $name.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -extfile $name.ext -out $name.pem
    done
    cat server.key server.pem ca.pem >server-all.pem
    # Somebody whom no broker knows, and who knows none.
    openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj '/CN=stranger' -keyout stranger.key -out stranger.pem
  ) >/dev/null 2>&1
}

# The state of a broker: its ports, as shell variables.
ports() { source "$HOME_DIR/$1/ports"; }

rabbit_env() {
  local dir="$HOME_DIR/rabbitmq"
  ports rabbitmq
  export HOME=$dir ERL_EPMD_PORT=$EPMD ERL_EPMD_ADDRESS=127.0.0.1 RABBITMQ_NODENAME="inlet$AMQP@localhost" \
    RABBITMQ_BASE=$dir RABBITMQ_MNESIA_BASE=$dir/mnesia RABBITMQ_LOG_BASE=$dir/log RABBITMQ_PID_FILE=$dir/pid \
    RABBITMQ_ENABLED_PLUGINS_FILE=$dir/enabled_plugins RABBITMQ_CONFIG_FILE=$dir/rabbitmq.conf \
    RABBITMQ_CONF_ENV_FILE=$dir/rabbitmq-env.conf RABBITMQ_DIST_PORT=$DIST \
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS='-kernel inet_dist_use_interface {127,0,0,1} +sbwt none +sbwtdcpu none +sbwtdio none'
}

start_rabbitmq() (
  local dir="$HOME_DIR/rabbitmq" server wrapper
  server=$(rabbit_server)
  [ -n "$server" ] || { missing rabbitmq "not installed"; return; }
  certificates
  if [ ! -d "$dir" ]; then
    mkdir -p "$dir/log" "$dir/mnesia"
    read -r amqp amqps tls epmd dist <<<"$(free_ports 5)"
    printf 'AMQP=%s AMQPS=%s TLS=%s EPMD=%s DIST=%s\n' "$amqp" "$amqps" "$tls" "$epmd" "$dist" >"$dir/ports"
    : >"$dir/rabbitmq-env.conf"
    printf '[].\n' >"$dir/enabled_plugins"
    cat >"$dir/rabbitmq.conf" <<C
listeners.tcp.1 = 127.0.0.1:$amqp
listeners.ssl.1 = 127.0.0.1:$amqps
ssl_options.cacertfile = $HOME_DIR/tls/ca.pem
ssl_options.certfile = $HOME_DIR/tls/server.pem
ssl_options.keyfile = $HOME_DIR/tls/server.key
ssl_options.verify = verify_peer
ssl_options.fail_if_no_peer_cert = true
log.console = false
vm_memory_high_watermark.absolute = 512MB
disk_free_limit.absolute = 100MB
C
  fi
  rabbit_env
  nohup "$server" >>"$dir/log/stdout" 2>&1 </dev/null &
  wrapper=$!
  printf '%s\n' "$wrapper" >"$dir/wrapper"
  wait_for 60 "$dir/wrapper" port_open "$AMQP" || { missing rabbitmq "it did not start; see $dir/log"; return 1; }
  wait_for 20 "$dir/wrapper" "$(dirname "$server")/rabbitmqctl" await_startup || return 1
  # Its configuration has one set of TLS options for all listeners. This one asks nobody for a certificate.
  "$(dirname "$server")/rabbitmqctl" -q eval "rabbit_networking:start_ssl_listener({\"127.0.0.1\", $TLS},
    [{certfile, \"$HOME_DIR/tls/server.pem\"}, {keyfile, \"$HOME_DIR/tls/server.key\"}], 2)." >>"$dir/log/stdout" || return 1
  there "rabbitmq on $AMQP"
)

stop_rabbitmq() (
  local dir="$HOME_DIR/rabbitmq"
  [ -d "$dir" ] || return 0
  ports rabbitmq
  end "$dir/pid" 15 rabbit
  end "$dir/wrapper" 5 rabbit
  if has epmd; then ERL_EPMD_PORT=$EPMD epmd -port "$EPMD" -kill >/dev/null 2>&1 || true; fi
)

start_kafka() (
  local dir="$HOME_DIR/kafka" cp="$TOOLS_HOME/kafka/*" id
  kafka_ready && has java || { missing kafka "not installed"; return; }
  certificates
  if [ ! -d "$dir" ]; then
    mkdir -p "$dir"
    read -r plain controller sasl sasls tls ssl <<<"$(free_ports 6)"
    printf 'PLAIN=%s CONTROLLER=%s SASL=%s SASLS=%s TLS=%s SSL=%s\n' "$plain" "$controller" "$sasl" "$sasls" "$tls" "$ssl" >"$dir/ports"
    local plain_jaas='org.apache.kafka.common.security.plain.PlainLoginModule required user_alice="secret-1";'
    local scram_jaas='org.apache.kafka.common.security.scram.ScramLoginModule required;'
    local listeners="PLAINTEXT://127.0.0.1:$plain,SASLP://127.0.0.1:$sasl,SASLS://127.0.0.1:$sasls,TLS://127.0.0.1:$tls,MTLS://127.0.0.1:$ssl"
    cat >"$dir/server.properties" <<C
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$controller
listeners=$listeners,CONTROLLER://127.0.0.1:$controller
advertised.listeners=$listeners
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASLP:SASL_PLAINTEXT,SASLS:SASL_SSL,TLS:SSL,MTLS:SSL
inter.broker.listener.name=PLAINTEXT
controller.listener.names=CONTROLLER
log.dirs=$dir/data
num.partitions=1
offsets.topic.num.partitions=4
offsets.topic.replication.factor=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
message.max.bytes=20971520
replica.fetch.max.bytes=20971520
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512
ssl.keystore.type=PEM
ssl.keystore.location=$HOME_DIR/tls/server-all.pem
ssl.truststore.type=PEM
ssl.truststore.location=$HOME_DIR/tls/ca.pem
listener.name.mtls.ssl.client.auth=required
C
    for listener in saslp sasls; do
      printf 'listener.name.%s.plain.sasl.jaas.config=%s\n' "$listener" "$plain_jaas"
      printf 'listener.name.%s.scram-sha-256.sasl.jaas.config=%s\n' "$listener" "$scram_jaas"
      printf 'listener.name.%s.scram-sha-512.sasl.jaas.config=%s\n' "$listener" "$scram_jaas"
    done >>"$dir/server.properties"
    id=$(java -XX:TieredStopAtLevel=1 -cp "$cp" kafka.tools.StorageTool random-uuid 2>/dev/null | tail -n 1)
    java -XX:TieredStopAtLevel=1 -cp "$cp" kafka.tools.StorageTool format -t "$id" -c "$dir/server.properties" --ignore-formatted \
      --add-scram 'SCRAM-SHA-256=[name=alice,password=secret-1]' --add-scram 'SCRAM-SHA-512=[name=alice,password=secret-1]' \
      >"$dir/format.log" 2>&1 || { missing kafka "its storage was not formatted; see $dir/format.log"; return 1; }
  fi
  ports kafka
  nohup java -Xms256m -Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 \
    -Dlog4j2.configurationFile="$ROOT/scripts/brokers/kafka-log.properties" \
    -cp "$cp" kafka.Kafka "$dir/server.properties" >>"$dir/log" 2>&1 </dev/null &
  printf '%s\n' "$!" >"$dir/pid"
  wait_for 60 "$dir/pid" port_open "$PLAIN" || { missing kafka "it did not start; see $dir/log"; return 1; }
  there "kafka on $PLAIN"
)

stop_kafka() { end "$HOME_DIR/kafka/pid" 15 kafka.Kafka; }

# kafka_scram USER PASSWORD
kafka_scram() (
  ports kafka
  local change=(--add-config "SCRAM-SHA-512=[password=$2]")
  [ -n "$2" ] || change=(--delete-config SCRAM-SHA-512)
  java -XX:TieredStopAtLevel=1 -Dlog4j2.configurationFile="$ROOT/scripts/brokers/kafka-log.properties" -cp "$TOOLS_HOME/kafka/*" \
    kafka.admin.ConfigCommand --bootstrap-server "127.0.0.1:$PLAIN" --alter --entity-type users --entity-name "$1" "${change[@]}"
)

start_sqs() (
  local dir="$HOME_DIR/sqs"
  moto_ready || { missing sqs "not installed"; return; }
  [ -d "$dir" ] || { mkdir -p "$dir" && printf 'PORT=%s\n' "$(free_ports 1)" >"$dir/ports"; }
  ports sqs
  nohup "$TOOLS_HOME/moto/bin/moto_server" -H 127.0.0.1 -p "$PORT" >>"$dir/log" 2>&1 </dev/null &
  printf '%s\n' "$!" >"$dir/pid"
  wait_for 30 "$dir/pid" get "http://127.0.0.1:$PORT/moto-api/" || { missing sqs "it did not start; see $dir/log"; return 1; }
  there "sqs on $PORT"
)

stop_sqs() { end "$HOME_DIR/sqs/pid" 5 moto_server; }

# A second one, which believes nobody but two users: `reader` may do everything with queues, `nobody` nothing. moto lets as many
# calls through unseen as it takes to make them.
start_sqs_auth() (
  local dir="$HOME_DIR/sqs-auth"
  moto_ready || return 0
  mkdir -p "$dir"
  printf 'PORT=%s\n' "$(free_ports 1)" >"$dir/ports"
  ports sqs-auth
  INITIAL_NO_AUTH_ACTION_COUNT=5 nohup "$TOOLS_HOME/moto/bin/moto_server" -H 127.0.0.1 -p "$PORT" >>"$dir/log" 2>&1 </dev/null &
  printf '%s\n' "$!" >"$dir/pid"
  wait_for 30 "$dir/pid" get "http://127.0.0.1:$PORT/moto-api/" || { say "moto with users did not start; see $dir/log"; return 0; }
  node "$ROOT/scripts/brokers/sqs-users.mjs" "http://127.0.0.1:$PORT" >"$dir/env"
)

stop_sqs_auth() { end "$HOME_DIR/sqs-auth/pid" 5 moto_server; }

start_pubsub() (
  local dir="$HOME_DIR/pubsub" jar
  jar=$(emulator_jar)
  [ -n "$jar" ] && has java || { missing pubsub "not installed"; return; }
  [ -d "$dir" ] || { mkdir -p "$dir" && printf 'PORT=%s\n' "$(free_ports 1)" >"$dir/ports"; }
  ports pubsub
  nohup java -Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -jar "$jar" --host=127.0.0.1 --port="$PORT" >>"$dir/log" 2>&1 </dev/null &
  printf '%s\n' "$!" >"$dir/pid"
  wait_for 30 "$dir/pid" get "http://127.0.0.1:$PORT/" || { missing pubsub "it did not start; see $dir/log"; return 1; }
  there "pubsub on $PORT"
)

stop_pubsub() { end "$HOME_DIR/pubsub/pid" 5 pubsub; }

write_env() (
  set +e
  {
    printf 'INLET_TEST_TLS=%s\n' "$HOME_DIR/tls"
    if alive "$HOME_DIR/rabbitmq/wrapper"; then ports rabbitmq && printf 'INLET_TEST_AMQP=127.0.0.1:%s\nINLET_TEST_AMQPS=127.0.0.1:%s\nINLET_TEST_AMQPS_CA=127.0.0.1:%s\n' "$AMQP" "$AMQPS" "$TLS"; fi
    if alive "$HOME_DIR/kafka/pid"; then
      ports kafka && printf 'INLET_TEST_KAFKA=127.0.0.1:%s\nINLET_TEST_KAFKA_SASL=127.0.0.1:%s\nINLET_TEST_KAFKA_SASL_TLS=127.0.0.1:%s\nINLET_TEST_KAFKA_TLS=127.0.0.1:%s\nINLET_TEST_KAFKA_MTLS=127.0.0.1:%s\n' "$PLAIN" "$SASL" "$SASLS" "$TLS" "$SSL"
    fi
    if alive "$HOME_DIR/sqs/pid"; then ports sqs && printf 'INLET_TEST_SQS=http://127.0.0.1:%s\n' "$PORT"; fi
    if alive "$HOME_DIR/sqs-auth/pid"; then cat "$HOME_DIR/sqs-auth/env"; fi
    if alive "$HOME_DIR/pubsub/pid"; then ports pubsub && printf 'INLET_TEST_PUBSUB=127.0.0.1:%s\n' "$PORT"; fi
    local name
    for name in "${ALL[@]}"; do
      [ ! -f "$HOME_DIR/missing.$name" ] || printf 'INLET_TEST_MISSING_%s=%q\n' "$(printf '%s' "$name" | tr '[:lower:]' '[:upper:]')" "$(cat "$HOME_DIR/missing.$name")"
    done
  } >"$ENV_FILE"
)

down() {
  local name
  [ -d "$HOME_DIR" ] || return 0
  home
  for name in "${ALL[@]}" sqs_auth; do "stop_$name" & done
  wait
  rm -rf "$HOME_DIR"
}

up() {
  down
  home
  certificates
  local name pids=()
  for name in "${ALL[@]}" sqs_auth; do
    "start_$name" &
    pids+=($!)
  done
  for name in "${pids[@]}"; do wait "$name" || true; done
  write_env
}

case "${1:-}" in
  install) rm -f "$HOME_DIR"/missing.* && for name in "${ALL[@]}"; do "install_$name"; done ;;
  up) up ;;
  down) down ;;
  stop | start)
    case " ${ALL[*]} " in *" ${2:-} "*) "$1_$2" ;; *) die "no broker of that name: ${2:-}" ;; esac ;;
  kafka-scram) kafka_scram "$2" "${3:-}" ;;
  rabbitmqctl)
    shift
    rabbit_env && "$(dirname "$(rabbit_server)")/rabbitmqctl" "$@"
    ;;
  *) die "usage: scripts/brokers.sh install | up | down | stop NAME | start NAME | kafka-scram USER PASSWORD | rabbitmqctl …" ;;
esac
