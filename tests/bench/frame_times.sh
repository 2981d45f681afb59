#!/bin/bash
# How long the studio's frames take while it mixes and a hand is busy, at 1600x1000 on a virtual screen.
#   bash tests/bench/frame_times.sh [target/release/mdsd3] [SECONDS]
# By hand, on an otherwise idle machine. Drags the first slider, scrubs and hovers while mixes run, then quits; the studio
# prints its frame times. The processor draws here (lavapipe), so its share is part of what the frames had to wait for.
# Needs (Debian) xvfb xdotool mesa-vulkan-drivers libvulkan1 libxkbcommon-x11-0.
set -eu
program=$(realpath "${1:-target/release/mdsd3}") seconds=${2:-40}
home=$(mktemp -d)
Xvfb :87 -screen 0 1600x1000x24 -nolisten tcp >/dev/null 2>&1 &
server=$!
trap 'kill $server 2>/dev/null; wait $server 2>/dev/null || true; rm -rf "$home"' EXIT
export DISPLAY=:87 HOME=$home XDG_DATA_HOME=$home XDG_RUNTIME_DIR=$home MDSD3_FRAME_TIMES=1
unset WAYLAND_DISPLAY
sleep 1
"$program" 2>"$home/stderr" &
studio=$!
window=$(timeout 30 xdotool search --sync --name "seed [0-9]+.*MDSD3 Studio" | tail -1)
xdotool windowsize "$window" 1600 1000 windowfocus "$window" sleep 4
end=$((SECONDS + seconds))
while [ $SECONDS -lt $end ]; do
  xdotool key ctrl+Return sleep 0.3 mousemove 130 180 mousedown 1
  for x in 140 155 170 190 175 160 150 165 180; do xdotool mousemove $x 180 sleep 0.05; done
  xdotool mouseup 1 sleep 0.2
  for x in 500 600 700 800 900 800 700 600; do xdotool mousemove $x $((x / 2)) sleep 0.05; done
  xdotool key Left sleep 0.1 key Right sleep 0.1
done
xdotool key ctrl+q
wait $studio || true
grep -E "^(mixing|idle)" "$home/stderr" || cat "$home/stderr"
