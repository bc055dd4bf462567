/** Preloaded (`node --import`), also into the engine's worker: every program that ONNX Runtime gets is written to ONNX_DUMP, by its hash. */
import { createHash } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'

const { InferenceSession } = createRequire(import.meta.url)('onnxruntime-node')
const create = InferenceSession.create
InferenceSession.create = function (bytes, ...options) {
  writeFileSync(join(process.env.ONNX_DUMP, `${createHash('sha256').update(bytes).digest('hex').slice(0, 16)}.onnx`), bytes)
  return create.call(this, bytes, ...options)
}
