# stage.sh NAME OUTPUT PARAMETERS INPUT...: writes a checksum of the parameters (a pattern) and the inputs.
# The file fail-NAME makes it fail; while block-NAME exists it waits. $RUNS (or runs.log) says what started.
name=$1 output=$2 parameters=$3
shift 3
echo "$name" >> "${RUNS:-runs.log}"
echo "hello from $name"
echo "and to stderr from $name" >&2
mkdir -p "$(dirname "$output")"
while [ -e "block-$name" ]; do sleep 0.05; done
[ ! -e "fail-$name" ] || exit 3
sum=$({ grep -E "^ *($parameters):" params.yaml; cat "$@"; } | cksum | cut -d' ' -f1)
case $output in
*.svg)
  echo "<svg xmlns='http://www.w3.org/2000/svg'><text>$sum</text></svg>" > "$output"
  printf 'step,value\n0,0\n1,%s\n' "$sum" > "$(dirname "$output")/curve.csv" ;;
*.json) echo "{\"score\": $sum}" > "$output" ;;
*) echo "$sum" > "$output" ;;
esac
