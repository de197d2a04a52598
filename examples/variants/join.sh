# join.sh FILE WORD…: writes the words into the file, one a line.
file="$1"
shift
for word; do
    echo "$word"
done > "$file"
