# The private Python environment of this checkout, for the scripts beside this file, which source it with
# their own real path in $self. "environment" or "environment test" makes it where it is missing or out of
# date (what pyproject.toml asks for, with its extra "test"), says nothing unless that fails, and sets
#
#	top	the checkout
#	python	the environment's interpreter; call it as "$python" -P, so that it imports nothing
#		from the current directory, which is anybody's
#
# The environment is .venv in the checkout, or below the user's cache directory where the checkout
# is read-only. In it, `checkout` is a link to the checkout it was made for (a copied .venv must not
# run the original's code), and `installed` a copy of the pyproject.toml that was installed.
# All this costs a start of nsh two processes: readlink and cmp.

top=${self%/*/*}

environment() {
	if [ -w "$top" ]; then
		venv=$top/.venv
	else
		venv=${XDG_CACHE_HOME:-$HOME/.cache}/nsh/venv-$(printf %s "$top" | cksum | tr ' ' -)
	fi
	python=$venv/bin/python
	stamp=$venv/installed${1:+-$1}
	up_to_date || make_environment "$@" || exit 1
}

made() {
	[ -x "$python" ] && [ "$venv/checkout" -ef "$top" ]
}

up_to_date() {
	made && cmp -s "$top/pyproject.toml" "$stamp"
}

# make_environment [EXTRA]: one caller at a time; those who waited find it made.
make_environment() (
	mkdir -p "${venv%/*}" && exec 9>"$venv.lock" && flock 9 || exit 1
	up_to_date && exit
	if [ -t 2 ]; then
		echo "nsh: setting up $venv (once) ..." >&2
	fi
	made || make_venv && install "$@"
)

make_venv() {
	host=$(find_python) || exit 1
	if ! output=$("$host" -m venv --clear "$venv" 2>&1); then
		printf '%s\n' "$output" >&2
		complain "cannot make $venv with $host (see above)"
	fi
	ln -sfn "$top" "$venv/checkout"
}

# Print the python to build on: its real name with the version in it, so that the environment is
# seen to be broken, and made again, when the system moves on to another version.
find_python() {
	for host in python3 python3.14 python3.13 python3.12 python3.11; do
		"$host" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue
		"$host" -c 'import ensurepip, venv' 2>/dev/null ||
			complain "$host cannot make virtual environments; try: apt-get install python3-venv"
		"$host" -c 'import os, sys; print(os.path.realpath(sys.executable))'
		exit
	done
	command -v python3 >/dev/null ||
		complain "there is no python3 here; try: apt-get install python3 python3-venv"
	complain "needs Python 3.11 or newer, not $(python3 -V 2>&1); try: apt-get install python3.11-venv"
}

install() {
	if ! output=$(cd "$top" && "$python" -m pip install --quiet --disable-pip-version-check \
		--no-input --editable ".${1:+[$1]}" 2>&1 </dev/null); then
		printf '%s\n' "$output" >&2
		complain "pip could not install what $top/pyproject.toml asks for (see above); is there a network?"
	fi
	# whoever starts nsh may not be able, or not want, to write what Python makes of its files
	"$python" -m compileall -q "$top/nsh" "$top/taskfs" >/dev/null 2>&1
	cp "$top/pyproject.toml" "$venv/installed" && cp "$top/pyproject.toml" "$stamp"
}

complain() {
	echo "nsh: $*" >&2
	exit 1
}
