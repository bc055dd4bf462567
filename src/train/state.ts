/** Saves arenas to a checkpoint's files and restores them. Weights that are not finite are never saved. */
import type { Backend, Handle } from '../runtime/backend.ts'
import type { ByteSource } from '../util/bytes.ts'
import { badInput, runFailure } from '../util/fault.ts'
import type { Arena } from './arena.ts'

/** Elements that are copied at once: 64 MiB. */
const piece = 2 ** 24

/** Every array of the arenas by file name. */
const arrays = (arenas: readonly Arena[]): [string, Handle][] =>
  arenas.flatMap((arena, i) =>
    Object.entries({ params: arena.params, ...arena.state }).map(([name, handle]): [string, Handle] => [
      `arena${i}.${name}`,
      handle,
    ]),
  )

export const stateBytes = (arenas: readonly Arena[]): number =>
  arrays(arenas).reduce((bytes, [, handle]) => bytes + 4 * handle.shape[0], 0)

/** Files by name, each read from the engine as it is written. Throws a Fault 'not-finite' that names the weight. */
export const stateFiles = (backend: Backend, arenas: readonly Arena[]): Record<string, AsyncIterable<Uint8Array>> => {
  const owner = new Map(arenas.map((arena) => [arena.params, arena]))
  return Object.fromEntries(arrays(arenas).map(([name, handle]) => [name, bytesOf(backend, handle, owner.get(handle))]))
}

async function* bytesOf(backend: Backend, handle: Handle, weights: Arena | undefined): AsyncGenerator<Uint8Array> {
  for (let start = 0; start < handle.shape[0]; start += piece) {
    const values = await backend.read(handle, start, Math.min(piece, handle.shape[0] - start))
    const bad = weights ? values.findIndex((value) => !Number.isFinite(value)) : -1
    if (bad >= 0) throw blownUp(weights!, start + bad)
    yield new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
  }
}

const blownUp = ({ entries }: Arena, at: number) => {
  const { name } = entries.findLast(({ offset }) => offset <= at)!
  return runFailure('not-finite', `the update made ${name} infinite; nothing was saved. Lower --learning-rate`)
}

/** Writes a checkpoint's files into the arenas. */
export const restoreState = async (
  backend: Backend,
  arenas: readonly Arena[],
  file: (name: string) => Promise<ByteSource>,
) => {
  for (const [name, handle] of arrays(arenas)) {
    const source = await file(name)
    if (source.size !== 4 * handle.shape[0])
      throw badInput(
        'bad-checkpoint',
        `holds ${source.size} bytes, but this model and method train ${4 * handle.shape[0]}`,
        { file: source.name },
      )
    for (let start = 0; start < handle.shape[0]; start += piece) {
      const count = Math.min(piece, handle.shape[0] - start)
      const bytes = await source.read(4 * start, 4 * (start + count))
      backend.write(handle, new Float32Array(bytes.slice().buffer), start)
    }
  }
}
