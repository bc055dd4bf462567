/**
 * Runs while npm installs attune, before the install script of onnxruntime-node. On Linux x64 that script downloads the CUDA
 * libraries, some hundred megabytes, and the whole installation fails where a firewall stops the download. It downloads
 * nothing where the files are there, so on machines without an NVIDIA driver this puts empty files in their place.
 * ONNXRUNTIME_NODE_INSTALL=cuda12 downloads the libraries anyway; so does, later, the command that `--device cuda` names.
 * Where nothing can be done here, onnxruntime-node installs itself as it would without attune.
 */
import { existsSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'

const { platform, arch, env } = process
const isAsked = Object.keys(env).some((name) => /^(npm_config_)?onnxruntime_node_install/i.test(name))
const hasNvidia = existsSync('/proc/driver/nvidia/version') || existsSync('/usr/lib/wsl/lib/nvidia-smi')

if (platform === 'linux' && arch === 'x64' && !isAsked && !hasNvidia) {
  try {
    const require = createRequire(import.meta.url)
    const runtime = dirname(require.resolve('onnxruntime-node/package.json'))
    const { requirements, manifests } = require(join(runtime, 'script', 'install-metadata.js'))
    for (const name of requirements['linux/x64'])
      for (const file of Object.keys(manifests[`linux/x64:${name}`])) {
        const path = join(runtime, 'bin', 'napi-v6', 'linux', 'x64', file)
        if (!existsSync(path)) writeFileSync(path, '')
      }
  } catch {}
}
