/**
 * onnxruntime sends telemetry to its maker unless ORT_DISABLE_TELEMETRY is set when its first session is made: it reads
 * the machine's id and keeps a device id and a queue in the user's cache folder. attune switches that off for every engine.
 * onnxruntime asks the C library for the variable, which sees only what the main thread of a process sets.
 */
import { isMainThread } from 'node:worker_threads'
import { badInput } from '../util/fault.ts'

const variable = 'ORT_DISABLE_TELEMETRY'

/**
 * To be called before the first session of a process. Throws a Fault 'telemetry' in a worker thread whose process was
 * started without the variable, since it cannot be set from there.
 */
export const disableTelemetry = (): void => {
  if (isMainThread) process.env[variable] = '1'
  else if (process.env[variable] !== '1')
    throw badInput(
      'telemetry',
      `the engine would send telemetry to the maker of onnxruntime, and a worker thread cannot switch that off: set ${variable}=1 in the main thread before the worker starts`,
    )
}
