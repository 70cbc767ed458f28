"""This machine's root as a copy-on-write tree: a package is installed into it by the real dpkg and seen by nobody else.

In: a work directory. Out: Overlay (run, path, changed, destroy). Everything written lies in a tmpfs of its own.
"""

import os
import stat
import subprocess


class Overlay:
    def __init__(self, work):
        self.work = work
        self.root = os.path.join(work, "root")
        self.upper = os.path.join(work, "tmp", "upper")
        for name in ("root", "tmp"):
            os.makedirs(os.path.join(work, name))
        self.mounted = []
        self.mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", os.path.join(work, "tmp"))
        for name in ("upper", "work"):
            os.makedirs(os.path.join(work, "tmp", name))
        os.chmod(self.upper, 0o755)
        self.mount("-t", "overlay", "-o", f"lowerdir=/,upperdir={self.upper},workdir={os.path.join(work, 'tmp', 'work')}", "overlay", self.root)
        for name in ("proc", "sys", "dev"):
            self.mount("--bind", f"/{name}", os.path.join(self.root, name))
        self.mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", os.path.join(self.root, "run"))

    def mount(self, *arguments):
        subprocess.run(["mount", *arguments], check=True)
        self.mounted.append(arguments[-1])

    def command(self, *command):
        return ["chroot", self.root, *command]

    def run(self, *command, check=True, **options):
        env = dict(os.environ, DEBIAN_FRONTEND="noninteractive", LC_ALL="C.UTF-8", PATH="/usr/sbin:/usr/bin:/sbin:/bin")
        done = subprocess.run(self.command(*command), capture_output=True, text=True, errors="replace", env=env, **options)
        assert not check or done.returncode == 0, f"{' '.join(command)}: {done.stdout}{done.stderr}"
        return done

    def path(self, name):
        return self.root + name

    def changed(self):
        """Files that were written and are still there, as absolute paths; deletions of the lower tree are left out."""
        found = set()
        for folder, _, names in os.walk(self.upper):
            for name in names:
                path = os.path.join(folder, name)
                mode = os.lstat(path)
                if not (stat.S_ISCHR(mode.st_mode) and mode.st_rdev == 0):
                    found.add(path[len(self.upper):])
        return found

    def destroy(self):
        for target in reversed(self.mounted):
            subprocess.run(["umount", "-l", target], check=False)
