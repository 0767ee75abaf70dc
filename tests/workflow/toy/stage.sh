# stage.sh NAME OUTPUT PARAMETER INPUT...: writes a checksum of the parameter and the inputs.
# The file fail-NAME makes it fail; while block-NAME exists it waits. runs.log says what started.
name=$1 output=$2 parameter=$3
shift 3
echo "$name" >> runs.log
echo "hello from $name"
echo "and to stderr from $name" >&2
mkdir -p "$(dirname "$output")"
while [ -e "block-$name" ]; do sleep 0.05; done
[ ! -e "fail-$name" ] || exit 3
sum=$({ grep "^$parameter:" params.yaml; cat "$@"; } | cksum | cut -d' ' -f1)
case $output in
*.svg) echo "<svg xmlns='http://www.w3.org/2000/svg'><text>$sum</text></svg>" > "$output" ;;
*) echo "$sum" > "$output" ;;
esac
