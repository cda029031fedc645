// @ts-check
/** The scripts and the README at the top of a bundle. */

/**
 * A script that starts what lies in the bundle, from any working directory and through symbolic links.
 *
 * @param {string} script the program, from the bundle's folder
 * @param {{change?: boolean, first?: string}} [options] change: into app/ first, as the tests expect; first: an argument before the user's
 * @returns {string}
 */
export function launcher(script, { change = false, first = "" } = {}) {
  return `#!/bin/sh
# Starts ${script} with the Node of this bundle, whatever else the machine has.
if ! here=$(readlink -f -- "$0"); then
  echo "$0: cannot find its own folder: the program readlink is missing" >&2
  exit 1
fi
here=\${here%/*}
if [ ! -e /lib64/ld-linux-x86-64.so.2 ]; then
  echo "$0: this bundle needs Linux on x86-64 with glibc: /lib64/ld-linux-x86-64.so.2 is missing" >&2
  exit 1
fi
${change ? 'cd "$here/app" || exit 1\n' : ""}exec "$here/bin/node" "$here/${script}"${first && ` ${first}`} "$@"
`;
}

/**
 * @typedef {object} BundleFacts
 * @property {string} name
 * @property {string} node version, without "v"
 * @property {boolean} stripped whether Node's symbols were taken out
 * @property {boolean} swiftShader
 * @property {string} loader where the Vulkan loader came from, for its licence
 * @property {{file: string, needed: readonly string[], versions: readonly string[]}[]} native what each native file needs of the system
 */

/**
 * The bundle's README.md.
 *
 * @param {BundleFacts} facts
 * @returns {string}
 */
export function readme({ name, node, stripped, swiftShader, loader, native }) {
  const needs = native.map(
    ({ file, needed, versions }) => `| \`${file}\` | ${needed.join(", ") || "nothing"} | ${versions.join(", ")} |`,
  );
  const emulated = swiftShader
    ? "`lib/` also has SwiftShader, which emulates a Vulkan device on the CPU: it shows that kernels are right, not what a GPU gains."
    : "SwiftShader, which emulates a Vulkan device on the CPU, is not in this bundle (`npm run bundle -- --with-swiftshader` puts it in).";
  return `# ${name}

wingbeat for one machine with Linux on x86-64 and glibc. Nothing is installed, nothing is fetched, and nothing outside this folder is
written but what you name and what tests and benchmarks put into the folder for temporary files and remove.

\`\`\`
./wingbeat doctor                                   # what this machine has: devices, libraries, rights
./wingbeat run examples/branch.json --quiet         # writes out/from-branch.pcap, which the next reads
./wingbeat run examples/gateway.json                # ipsec -> nids -> router
./wingbeat check examples/gateway.json
./wingbeat gen test.pcap --size imix --count 100000
./test                                              # the conformance tests: devices against the CPU, fast code against plain code
./test gpu                                          # those with gpu in their file's name
./bench --list                                      # the benchmarks
./bench device --json device.json                   # measures this machine's GPU
\`\`\`

They work from any working directory and through symbolic links. \`./wingbeat run --help\` lists the options, \`README-wingbeat.md\` is the
project's README. Where that says \`npm run -s wingbeat --\`, say \`./wingbeat\` here; for \`npm test --\`, \`./test\`; for \`npm run bench --\`, \`./bench\`.

A test that needs what this machine lacks says so and is skipped; some need what every ordinary system has (mkfifo, /dev/full). \`./wingbeat doctor\` names what is missing with a remedy; it changes nothing
by itself. Only \`./wingbeat doctor --install\` would: it needs Debian or Ubuntu, and a network, and fetches into \`cache/\` here or, as root,
installs.

## What it needs of the machine

The programs \`sh\` and \`readlink\`, /tmp to write in, and the libraries below: glibc, and of GCC's libstdc++ and libgcc_s (Debian:
\`libstdc++6\`, \`libgcc-s1\`; Fedora: \`libstdc++\`, \`libgcc\`). With an older libstdc++ than \`dawn.node\` wants, everything but WebGPU works.

| file | is linked to | wants at least |
| --- | --- | --- |
${needs.join("\n")}

GPUs need their drivers from the system. For OpenCL: \`libOpenCL.so.1\` (Debian: \`ocl-icd-libopencl1\`) and the vendor's driver with its file in
/etc/OpenCL/vendors. For WebGPU: a Vulkan driver with its file in /usr/share/vulkan/icd.d (Debian: \`mesa-vulkan-drivers\`, new enough for
Dawn); the Vulkan loader is in \`lib/\` and taken where the system has none. ${emulated}
libIPSec_MB (Debian: \`libipsec-mb1\`) and Hyperscan (\`libhyperscan5\`) make the CPU's side faster where they are; without them the same bytes come out.

## What is in it

| folder | holds | licence |
| --- | --- | --- |
| \`bin/node\` | Node ${node}, x86-64, glibc${stripped ? ", symbols stripped" : ""} | \`licences/node.txt\` |
| \`app/dist\`, \`app/kernels\`, \`examples\` | wingbeat, compiled; its kernels, tests and benchmarks | \`LICENSE\` |
| \`app/node_modules\` | npm packages a run and the tests need | in each package's folder, or its package.json; Dawn: \`webgpu/LICENSE.md\` |
| \`lib\` | ${loader}${swiftShader ? "; SwiftShader from Debian's chromium-common" : ""} | \`licences/vulkan.txt\` |
| \`out\` | what the examples write | |
`;
}

/** What libvulkan's and SwiftShader's licence asks to be told; the text of the licence follows it. */
export const VULKAN_NOTICE = `libvulkan.so.1: the Vulkan loader of the Khronos Group, https://github.com/KhronosGroup/Vulkan-Loader
Copyright The Khronos Group Inc., Valve Corporation, LunarG, Inc. and others.

libvk_swiftshader.so, where it is here: SwiftShader, https://swiftshader.googlesource.com/SwiftShader
Copyright The SwiftShader Authors.

Both are unchanged and under the Apache License, Version 2.0.

`;
