/** The files beside a GGUF file: a Modelfile for Ollama and a model card. */
import { stat } from 'node:fs/promises'
import { basename } from 'node:path'
import { stringify } from 'yaml'
import { repoOfPath } from '../checkpoint/hubRepo.node.ts'
import { endIds } from '../generate/generate.ts'
import { loadTokenizerFolder } from '../text/tokenizer.node.ts'
import { badInput } from '../util/fault.ts'
import { writeWhole } from '../util/files.node.ts'
import type { MergedModel } from './mergedModel.ts'
import { modelfile } from './modelfile.ts'

/** Paths of the two files. */
export const besideGguf = (output: string) => {
  const stem = output.replace(/\.gguf$/, '')
  return { modelfile: `${stem}.Modelfile`, card: `${stem}.md` }
}

/** Throws a Fault 'taken' where the GGUF file or one that is written beside it is there already. */
export const refuseTakenGguf = async (output: string): Promise<void> => {
  for (const path of [output, ...Object.values(besideGguf(output))])
    if (await stat(path).catch(() => undefined))
      throw badInput('taken', 'exists already; choose another --output', { file: path })
}

/** @param system what the model is told first in Ollama @returns the paths */
export const writeBesideGguf = async (
  model: MergedModel,
  { output, type, bytes, system }: { output: string; type: string; bytes: number; system?: string },
): Promise<string[]> => {
  const paths = besideGguf(output)
  const tokenizer = await loadTokenizerFolder(model.dir, model.adapterDir)
  const sampling = (model.generationConfig ?? {}) as Readonly<Record<string, unknown>>
  const ends = endIds(model.config.raw, sampling, tokenizer?.eosId)
  const stops = [...ends].flatMap((id) => tokenizer?.idToToken(id) ?? [])
  const text = modelfile({
    gguf: basename(output),
    chat: tokenizer?.chat,
    bos: tokenizer?.addsBos ? tokenizer.specialTokens.bos_token : undefined,
    stops,
    sampling,
    system,
  })
  const card = cardOf(model, { gguf: basename(output), type, bytes })
  for (const [path, content] of [
    [paths.modelfile, text],
    [paths.card, card],
  ])
    await writeWhole(path, [new TextEncoder().encode(content)])
  return Object.values(paths)
}

const cardOf = (model: MergedModel, { gguf, type, bytes }: { gguf: string; type: string; bytes: number }): string => {
  const repo = repoOfPath(model.dir)
  const base = repo ? `[${repo}](https://huggingface.co/${repo})` : `\`${basename(model.dir)}\``
  const name = gguf.replace(/\.gguf$/, '')
  const head = {
    ...(repo && { base_model: repo }),
    pipeline_tag: 'text-generation',
    tags: ['attune', 'gguf', ...(model.adapterDir === undefined ? [] : ['lora'])],
  }
  const tuned = model.adapterDir === undefined ? '' : ' with a LoRA adapter merged into it'
  return `---
${stringify(head)}---

# ${name}

${base}${tuned}, as GGUF for llama.cpp and programs based on it, made with attune.

| | |
| --- | --- |
| file | \`${gguf}\` |
| weights | ${type}, ${(bytes / 1e6).toFixed(1)} MB |
| architecture | ${model.architecture.name} |
| context | ${model.config.max_position_embeddings} tokens |

In Ollama:

    ollama create ${name.toLowerCase()} -f ${name}.Modelfile
    ollama run ${name.toLowerCase()}

In llama.cpp:

    llama-cli -m ${gguf}
`
}
