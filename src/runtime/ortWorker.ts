/** The engine in a worker thread: the main thread stays free for progress, Ctrl-C and the page. */
import { parentPort, workerData } from 'node:worker_threads'
import type { Command, Engine } from './backend.ts'
import { ortEngine } from './ortNode.ts'

type Request = { batch: number; commands: readonly Command[] } | { batch: number; close: true }

const port = parentPort!
const engine: Engine = ortEngine(workerData)
port.postMessage({ ready: engine.description })

const answer = async (request: Request) => {
  if ('close' in request) {
    await engine.close()
    port.postMessage({ batch: request.batch, values: [] })
    port.close()
    return
  }
  try {
    const values = await engine.send(request.commands, [])
    port.postMessage(
      { batch: request.batch, values },
      values.map((array) => array.buffer as ArrayBuffer),
    )
  } catch (error) {
    port.postMessage({ batch: request.batch, error: (error as Error).message })
  }
}

port.on('message', answer)
