"""The `ssh` runner: TensorRT's `trtexec` on a Jetson that answers ssh.

Pushes an .onnx file, builds and times an engine in FP32 or FP16, notes the power mode, and fetches
the layer profile and the times of every run.
"""

from __future__ import annotations

import re
import shlex

from perfmodel.errors import RunnerError
from perfmodel.runners.remote import DeviceLog, run_program, safe_name
from perfmodel.runners.runner import Job, MachineFacts

REMOTE = "/tmp/perfmodel"
TRTEXEC = "/usr/src/tensorrt/bin/trtexec"
"""Where JetPack installs it."""

_OPTIONS = ("-o", "BatchMode=yes", "-o", "ConnectTimeout=10")


class SshTrtexecRunner:
    """Measures .onnx files with TensorRT on a host that accepts ssh without a password.

    Precision of a job is fp32 or fp16; `dla` runs on that DLA core with GPU fall-back.
    """

    name = "ssh"

    def __init__(
        self,
        host: str,
        *,
        trtexec: str = TRTEXEC,
        ssh: str = "ssh",
        scp: str = "scp",
        iterations: int = 200,
        dla: int | None = None,
        timeout_s: float = 1800,
    ) -> None:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,250}", host):
            raise RunnerError(f"{host!r} is no host name", "write ssh:HOST or ssh:USER@HOST")
        self.host, self.trtexec, self.ssh, self.scp = host, trtexec, ssh, scp
        self.iterations, self.dla, self.timeout_s = iterations, dla, timeout_s
        self._reach()

    def _reach(self) -> None:
        try:
            self.shell("mkdir", "-p", REMOTE)
        except RunnerError as error:
            raise RunnerError(
                f"{self.host} cannot be reached over ssh: {error.message}",
                "check `ssh HOST true`; a key must be set up, passwords are not asked for",
            ) from None
        # exit codes of the far shell say it all; ssh passes them on
        try:
            self.shell("test", "-x", self.trtexec)
        except RunnerError:
            raise RunnerError(
                f"{self.host} has no trtexec at {self.trtexec}",
                "install TensorRT (JetPack brings it), or name its path with --trtexec",
            ) from None

    def shell(self, *words: str, check: bool = True) -> str:
        """Run words on the host, each quoted for its shell."""
        command = " ".join(shlex.quote(w) for w in words)
        return run_program(
            [self.ssh, *_OPTIONS, self.host, command], timeout_s=self.timeout_s, check=check
        )

    def describe(self) -> MachineFacts:
        """Board, JetPack release and power mode; what it does not say is left out."""
        asked = {
            "board": ("cat", "/proc/device-tree/model"),
            "release": ("cat", "/etc/nv_tegra_release"),
            "power_mode": ("nvpmodel", "-q"),
            "clocks": ("jetson_clocks", "--show"),
        }
        facts = {"host": self.host}
        for name, words in asked.items():
            text = self.shell(*words, check=False).replace("\0", "").strip()
            if text and "not found" not in text and "No such file" not in text:
                facts[name] = " ".join(text.split())[:400]
        return MachineFacts(self.name, facts)

    def measure(self, job: Job) -> DeviceLog:
        """Time one network: trtexec's log, its layer profile and its run times."""
        if job.precision not in ("fp32", "fp16"):
            raise RunnerError(f"trtexec is asked for fp32 or fp16, not {job.precision}")
        if job.model.suffix != ".onnx" or not job.model.is_file():
            raise RunnerError(f"{job.model}: trtexec needs an .onnx file that exists")
        stem = f"{REMOTE}/{safe_name(job.key)}"
        remote = f"{REMOTE}/{safe_name(job.model.name)}"
        run_program(
            [self.scp, *_OPTIONS, "-q", str(job.model), f"{self.host}:{remote}"],
            timeout_s=self.timeout_s,
        )
        profile, times = f"{stem}.profile.json", f"{stem}.times.json"
        text = self.shell(*self._command(remote, job, profile, times), check=False)
        if "GPU Compute Time" not in text:
            raise RunnerError(f"trtexec gave no times for {job.key}: {_reason(text)}")
        files = {
            "log": text,
            "profile.json": self.shell("cat", profile),
            "times.json": self.shell("cat", times),
        }
        mode = self.shell("nvpmodel", "-q", check=False)
        found = re.search(r"NV Power Mode: (\S+)", mode)
        facts = {"power_mode": found[1] if found else "unknown"}
        defaults: dict[str, str | float] = {
            "precision": job.precision,
            "batch": 1.0,
            "framework": "tensorrt",
            "unit": "gpu" if self.dla is None else "dla",
            "model": job.key,
            "source": f"trtexec over ssh, power mode {facts['power_mode']}",
        }
        return DeviceLog(job.key, files, facts, (), defaults)

    def _command(self, remote: str, job: Job, profile: str, times: str) -> list[str]:
        half = ["--fp16"] if job.precision == "fp16" else []
        core = [] if self.dla is None else [f"--useDLACore={self.dla}", "--allowGPUFallback"]
        return [
            self.trtexec,
            f"--onnx={remote}",
            *half,
            *core,
            f"--iterations={self.iterations}",
            "--warmUp=2000",
            "--separateProfileRun",
            f"--exportProfile={profile}",
            f"--exportTimes={times}",
        ]


def _reason(text: str) -> str:
    """The line that says why: TensorRT marks errors with [E]."""
    lines = [x.strip() for x in text.splitlines() if x.strip()]
    errors = [x for x in lines if "[E]" in x or "rror" in x]
    return (errors or lines or ["no output"])[-1][:300]


def parse_host(text: str) -> str:
    """The host of `ssh:HOST`."""
    name, _, host = text.partition(":")
    if name != "ssh" or not host:
        raise RunnerError(f"{text!r} names no host", "write ssh:HOST")
    return host
