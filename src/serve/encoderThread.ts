/** Worker thread of `threadEncoder`: reads a folder's tokenizer once, then posts the token ids of each prompt. */
import { parentPort, workerData } from 'node:worker_threads'
import { loadTokenizerFolder, type TokenizerPlace } from '../text/tokenizer.node.ts'
import { Fault } from '../util/fault.ts'
import { encodeInput, type PromptInput, type ThreadReply } from './promptEncoder.ts'

const encode = async (input: PromptInput) => {
  const tokenizer = await loaded
  if (!tokenizer) throw new Error(`the tokenizer in ${dir} is gone`)
  parentPort!.postMessage('ready')
  return { ids: encodeInput(tokenizer, input) }
}

const { dir, adapter } = workerData as TokenizerPlace
const loaded = loadTokenizerFolder(dir, adapter)
parentPort!.on('message', (input: PromptInput) => {
  encode(input)
    .catch((error) =>
      error instanceof Fault ? { fault: error.message, code: error.code } : { defect: String(error?.stack ?? error) },
    )
    .then((reply: ThreadReply) => parentPort!.postMessage(reply))
})
