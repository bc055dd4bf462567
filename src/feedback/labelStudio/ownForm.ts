/** A task of a server with a template of its own, as attune's readers expect it: keys and names of controls become the usual ones. */
import { isObject } from '../../data/issue.ts'
import type { Template } from './template.ts'

type Json = Record<string, unknown>

/** The names are those that writeTemplate gives. */
export const ownForm = (task: Json, template: Template): Json => {
  const data = isObject(task.data) ? task.data : {}
  const results = (of: unknown) =>
    Array.isArray(of)
      ? of.map((one) =>
          isObject(one) && Array.isArray(one.result)
            ? { ...one, result: one.result.map((result) => (isObject(result) ? ownResult(result, template) : result)) }
            : one,
        )
      : of
  return {
    ...task,
    data: ownData(data, template),
    annotations: results(task.annotations) ?? [],
    predictions: results(task.predictions),
  }
}

/** Where there is one response it is response1; of a pair answer1 and answer2. */
const responseKey = ({ mode }: Template, i: number) => `${mode === 'pair' ? 'answer' : 'response'}${i + 1}`

const ownData = (data: Json, template: Template): Json => {
  const { prompts, list, responses } = template
  const texts = prompts.map(({ key }) => data[key]).filter((text) => typeof text === 'string' && text !== '')
  return {
    ...(data.messages !== undefined && { messages: data.messages }),
    prompt: prompts.length ? texts.join('\n\n') : typeof data.prompt === 'string' ? data.prompt : '',
    ...(list && { items: data[list.key] }),
    ...Object.fromEntries(responses.map(({ key }, i) => [responseKey(template, i), data[key]])),
  }
}

const ownResult = (result: Json, template: Template): Json => {
  const { pair, best, good, edit, note, bothBad, scales } = template
  const value = isObject(result.value) ? result.value : {}
  const named = (from_name: string, more: Json = {}): Json => ({ ...result, from_name, ...more })
  switch (result.from_name) {
    case undefined:
      return result
    case pair?.name:
      return named('better', { to_name: 'answer1,answer2' })
    case pair?.strength?.name:
      return named('strength')
    case best?.name: {
      const at = best!.options.indexOf(String([value.choices].flat()[0]))
      return at < 0 ? result : named('best', { value: { choices: [`response ${at + 1}`] } })
    }
    case good?.name:
      return named('good', { value: { choices: [[value.choices].flat()[0] === good!.good ? 'good' : 'bad'] } })
    case edit?.name:
      return named('edit')
    case note?.name:
      return named('note')
    case bothBad?.name:
      return named('all_bad')
    default:
  }
  for (const { name, controls } of scales) {
    const at = controls.indexOf(String(result.from_name))
    if (at >= 0) return named(`${name}-${at + 1}`)
  }
  return result
}
