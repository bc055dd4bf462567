/** The thread behind `threadEncoder`: reads a folder's tokenizer once, then answers each prompt with its ids. */
import { parentPort, workerData } from 'node:worker_threads'
import { loadTokenizerFolder, type TokenizerPlace } from '../text/tokenizer.node.ts'
import { Fault } from '../util/fault.ts'
import { encodeInput, type PromptInput } from './promptEncoder.ts'

const answerTo = async (wording: PromptInput) => {
  const tokenizer = await loaded
  if (!tokenizer) throw new Error(`the tokenizer in ${dir} is gone`)
  parentPort!.postMessage('ready')
  return { ids: encodeInput(tokenizer, wording) }
}

const { dir, adapter } = workerData as TokenizerPlace
const loaded = loadTokenizerFolder(dir, adapter)
parentPort!.on('message', (wording: PromptInput) => {
  answerTo(wording)
    .catch((error) =>
      error instanceof Fault ? { fault: error.message, code: error.code } : { defect: String(error?.stack ?? error) },
    )
    .then((answer) => parentPort!.postMessage(answer))
})
