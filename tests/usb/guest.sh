# guest.sh: what scripts inside the emulated machine share. Source it after line.sh.

# Words before a command, not functions: a function in the background would put a shell between.
user=(setpriv --reuid=65534 --regid=65534 --groups="$(getent group plugdev | cut -d: -f3)")
stranger=(setpriv --reuid=65534 --regid=65534 --clear-groups)
chmod 777 "$work"
export PATH=$PATH:/usr/sbin

bench_port() { echo "${url##*:}"; }

# Waits until COMMAND holds; the limit only ends a test that would never end.
until_true() {
  local limit=$((SECONDS + ${LIMIT:-60}))
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $limit ] || { echo "never true: $*"; return 1; }
    sleep 0.1
  done
}

usb_count() { [ "$(grep -lx 05dc /sys/bus/usb/devices/*/idProduct 2>/dev/null | wc -l)" = "$1" ]; }

# attach N: bus id 1-N of the bench becomes a USB device of this machine. The tool gives up when a device appears or leaves
# while it reads sysfs: it is asked again when udev is through.
attach() {
  local said
  for _ in 1 2 3 4 5; do
    said=$(usbip --tcp-port "$(bench_port)" attach -r 127.0.0.1 -b "1-$1" 2>&1) && return 0
    [[ $said == *"open vhci_driver"* ]] || break
    udevadm settle
  done
  echo "$said"
  return 1
}
