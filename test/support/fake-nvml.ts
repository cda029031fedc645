/** A library that answers as NVML does, compiled when a test needs it. */
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { findProgram } from "../../runtime/native/library-path.js";

/**
 * Three GPUs: one counts energy, one only shows power, one does neither. FAKE_NVML names a file with millijoules, milliwatts and the error of the
 * next calls, which is read at every call.
 */
const SOURCE = `
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SUCCESS = 0, NOT_SUPPORTED = 3, GPU_IS_LOST = 15, DRIVER_NOT_LOADED = 9 };
static int gpus[3] = {0, 1, 2};
static int users;

static int state(unsigned long long *energy, unsigned *power) {
  const char *path = getenv("FAKE_NVML");
  FILE *file = path ? fopen(path, "r") : NULL;
  int fails = DRIVER_NOT_LOADED;
  if (!file) return fails;
  if (fscanf(file, "%llu %u %d", energy, power, &fails) != 3) fails = DRIVER_NOT_LOADED;
  fclose(file);
  return fails;
}

int nvmlInit_v2(void) { users++; unsigned long long e; unsigned p; return state(&e, &p) == DRIVER_NOT_LOADED ? DRIVER_NOT_LOADED : SUCCESS; }
int nvmlShutdown(void) { users--; return SUCCESS; }
int fakeUsers(void) { return users; }
int nvmlDeviceGetCount_v2(uint32_t *count) { *count = 3; return SUCCESS; }
int nvmlDeviceGetHandleByIndex_v2(uint32_t index, void **device) { *device = &gpus[index]; return SUCCESS; }

int nvmlDeviceGetName(void *device, char *name, uint32_t bytes) {
  snprintf(name, bytes, "Fake %c", "ABC"[*(int *)device]);
  return SUCCESS;
}

int nvmlDeviceGetTotalEnergyConsumption(void *device, unsigned long long *mJ) {
  unsigned power;
  if (*(int *)device != 0) return NOT_SUPPORTED;
  return state(mJ, &power);
}

int nvmlDeviceGetPowerUsage(void *device, uint32_t *mW) {
  unsigned long long energy;
  if (*(int *)device == 2) return NOT_SUPPORTED;
  return state(&energy, mW);
}

const char *nvmlErrorString(int result) { return result == GPU_IS_LOST ? "GPU is lost" : "Driver Not Loaded"; }
`;

/** Skips' reason where there is no compiler. */
export const NEEDS_CC = "there is no C compiler for a fake NVML: apt-get install gcc";

/** @returns the library's path; undefined where there is no compiler */
export function compileFakeNvml(folder: string): string | undefined {
  const compiler = findProgram("cc") ?? findProgram("gcc");
  if (compiler === undefined) return undefined;
  const [source, library] = [join(folder, "nvml.c"), join(folder, "libnvidia-ml.so.1")];
  writeFileSync(source, SOURCE);
  const { status, stderr } = spawnSync(compiler, ["-shared", "-fPIC", "-o", library, source], { encoding: "utf8" });
  if (status !== 0) throw new Error(`${compiler} ended with ${status}: ${stderr}`);
  return library;
}
