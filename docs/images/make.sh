#!/bin/sh
# Makes the README's pictures with the program itself: sh docs/images/make.sh (after `cargo build --release`).
# Needs, for the window, the Debian packages that check.sh installs (xvfb, xdotool, scrot, a Vulkan driver).
set -eu
cd "$(dirname "$0")/../.."
mdsd3=target/release/mdsd3
out=docs/images
work=$(mktemp -d)
trap 'kill $studio $screen 2>/dev/null || true; rm -rf "$work"' EXIT
studio= screen=

Xvfb -displayfd 3 -screen 0 1440x900x24 3>"$work/display" >/dev/null 2>&1 & screen=$!
sleep 1
DISPLAY=:$(cat "$work/display")
export DISPLAY XDG_DATA_HOME="$work" XDG_CONFIG_HOME="$work" XDG_RUNTIME_DIR="$work"
unset WAYLAND_DISPLAY
sleep 1
$mdsd3 & studio=$!
window=$(timeout 30 xdotool search --sync --onlyvisible --name 'MDSD3' | head -1)
xdotool windowsize "$window" 1440 900
sleep 6
# Without a window manager nobody else gives the window the keyboard.
xdotool windowfocus --sync "$window"
sleep 1
xdotool key ctrl+4
sleep 1
xdotool key ctrl+Return
# A mix takes a few seconds on an idle machine; wait for a busy one.
sleep "${MIX_SECS:-20}"
scrot -o "$out/studio.png"
echo "wrote $out/*.png"
