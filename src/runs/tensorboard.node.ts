/**
 * Writes a run's metrics for TensorBoard: `tb/events.out.tfevents.*`, one file each time the run is begun or resumed. Earlier
 * files are never changed: a file opens with the step that it begins at, and TensorBoard then drops what earlier files say of
 * that step and later ones.
 * Sources: tensorflow/core/util/event.proto, framework/summary.proto.
 */
import { join as joinPath } from 'node:path'
import { concatBytes } from '../util/bytes.ts'
import { diskFault, makeFolders, openAppending } from '../util/files.node.ts'
import { double, type Field, float, int, message, string } from '../util/proto.ts'
import type { LoggedEvent } from './log.node.ts'
import { record } from './tfRecord.ts'

export type Board = {
  /** Takes the numbers of `step` and `eval` events and leaves out all else. */
  write(event: LoggedEvent): Promise<void>
  close(): Promise<void>
}

/** @param first the next step, counted from 1. Throws Faults 'disk'. */
export const openBoard = async (runDir: string, first: number, now: () => number = Date.now): Promise<Board> => {
  const dir = joinPath(runDir, 'tb')
  const withDiskFault = <T>(work: Promise<T>) =>
    work.catch((error) => {
      throw diskFault(error, dir)
    })
  await withDiskFault(makeFolders(dir))
  // Files are read in the order of their names
  const file = await openAppending(joinPath(dir, `events.out.tfevents.${now()}.attune`))
  const append = (fields: readonly Field[]) =>
    withDiskFault(file.appendFile(record(concatBytes([double(1, now() / 1000), ...fields]))))
  await append([string(3, 'brain.Event:2')])
  await append([int(2, first), message(7, [int(1, sessionStart)])])
  return {
    async write(event) {
      const values = scalars(event)
      if (values.length) await append([int(2, event.step as number), message(5, values.map(scalarField))])
    },
    close: () => file.close(),
  }
}

/** SessionLog.START */
const sessionStart = 1

type Scalar = readonly [tag: string, value: number]

/** Named as transformers' callback names them: train/loss, eval/loss. */
const scalars = ({ event, ...fields }: LoggedEvent): Scalar[] => {
  if (event !== 'step' && event !== 'eval') return []
  const group = event === 'step' ? 'train' : 'eval'
  return Object.entries(fields).flatMap(([name, value]): Scalar[] =>
    typeof value === 'number' && !counters.has(name) ? [[`${group}/${name.replace(/^eval_/, '')}`, value]] : [],
  )
}

const counters: ReadonlySet<string> = new Set(['step', 'total_steps'])

const scalarField = ([tag, value]: Scalar): Field => message(1, [string(1, tag), float(2, value)])
