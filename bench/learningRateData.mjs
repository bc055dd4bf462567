/**
 * The rows of the learning-rate sweeps, made for one model: answers of people for SFT and self-play, and a rule that a model can
 * learn within 100 steps for preferences and rewards: an answer has no comma. Its pairs are the model's own samples.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { group } from 'd3-array'

const topics = [
  ...['bees', 'rivers', 'bread', 'the moon', 'bicycles', 'chess', 'glass', 'winter', 'owls', 'music', 'gardens', 'salt', 'trains', 'coffee', 'clouds', 'maps'],
  ...['paper', 'horses', 'bridges', 'soap', 'deserts', 'tea', 'clocks', 'whales', 'sleep', 'rain', 'dogs', 'books', 'mountains', 'cheese', 'lighthouses', 'ants'],
  ...['apples', 'sand', 'ships', 'wool', 'dreams', 'kites', 'spiders', 'ice', 'forests', 'candles', 'shoes', 'the sea', 'potatoes', 'wind', 'cats', 'museums'],
  ...['letters', 'snow', 'parks', 'rice', 'stars', 'wood', 'birds', 'honey', 'markets', 'fire'],
]
const questions = ['Tell me about {}.', 'Why do people like {}?', 'What should a child know about {}?', 'Describe {} to a friend.']
/** Asked of held-out prompts alone, where more of them than usual are wanted. */
const moreQuestions = ['What is surprising about {}?', 'How would you explain {} in a few words?']
const names = ['Lily', 'Tom', 'Mia', 'Ben', 'Sara', 'Max', 'Anna', 'Tim', 'Sue', 'Jack', 'Lucy', 'Sam', 'Amy', 'Bob', 'Ella', 'Leo']
const openings = [
  ...['{} went to the park with mom.', '{} found a big box in the room.', 'One day {} saw a little dog.', '{} wanted to bake a cake.', '{} was sad and sat under a tree.'],
  ...['It was a sunny day and {} ran outside.', '{} had a red ball.', 'At night {} looked at the moon.', '{} and a friend made a boat.', 'The cat of {} was lost.'],
  ...['{} heard a loud noise.', '{} got a new toy.', 'In the garden {} saw a bee.', '{} did not want to share.'],
]

const trainPrompts = 160
/** Held-out prompts, unless more are asked for. */
export const heldPrompts = 64
/** Of each prompt: two of different kinds make a pair. */
const samples = 4
/** Enough that about half of the samples have a comma. */
const newTokens = { chat: 24, text: 40 }
const answerTokens = 32
/** A rollout is short: steps are many then, and the rule still holds for about half of the completions. */
export const rolloutTokens = { chat: 12, text: 24 }

export const hasNoComma = (text) => !text.includes(',')
/** The same rule for `--reward`. */
export const noComma = 'no-comma=regex:^[^,]*$'

export const byPrompt = (rows) => [...group(rows, ({ prompt }) => JSON.stringify(prompt)).values()]

const jsonl = (path) => readFileSync(path, 'utf8').trim().split('\n').map((line) => JSON.parse(line))
const write = (path, rows) => writeFileSync(path, rows.map((row) => `${JSON.stringify(row)}\n`).join(''))

/**
 * Every n-th of all combinations, so that train and held-out prompts are of all kinds.
 * @param more held-out prompts beyond the usual ones, which training leaves over; for chats also of two other questions
 */
const prompts = (chats, more) => {
  const [patterns, words] = chats ? [questions, topics] : [openings, names]
  const all = words.flatMap((word) => patterns.map((pattern) => pattern.replace('{}', word)))
  const held = all.filter((_, i) => i % 3 === 2).slice(0, heldPrompts)
  const [train, left] = [(rest) => rest.slice(0, trainPrompts), (rest) => rest.slice(trainPrompts)].map((part) =>
    part(all.filter((prompt) => !held.includes(prompt))),
  )
  const others = chats ? topics.flatMap((word) => moreQuestions.map((question) => question.replace('{}', word))) : []
  return { train, held: [...held, ...[...left, ...others].slice(0, more)] }
}

/** Single questions with short answers of people, from hh-rlhf: `chosen` and `rejected` are whole dialogues there. */
const answers = (file) => {
  const bytes = readFileSync(file)
  const text = (file.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString()
  const parts = (dialogue) => dialogue.split(/\n\n(?:Human|Assistant): ?/).slice(1).map((part) => part.trim())
  return text.trim().split('\n').flatMap((line) => {
    const { chosen, rejected } = JSON.parse(line)
    const [[prompt, completion, ...more], [same, worse]] = [parts(chosen), parts(rejected)]
    const isShort = (part) => part?.length > 30 && part.length < 300
    const fits = more.length === 0 && prompt === same && prompt.length < 200 && isShort(completion) && isShort(worse)
    return fits ? [{ prompt, completion, rejected: worse }] : []
  })
}

/**
 * Writes the rows into a folder, or finds them there. @param run runs attune with arguments and gives its JSON lines
 * @returns paths by name, and the completions of the held-out prompts by the model itself
 */
export const makeData = async ({ dir, model, pairs, chats, held: heldCount, run }) => {
  mkdirSync(dir, { recursive: true })
  const at = (name) => join(dir, `${name}.jsonl`)
  const asked = (prompt) => (chats ? [{ role: 'user', content: prompt }] : prompt)
  const said = (text) => (chats ? [{ role: 'assistant', content: text }] : text.startsWith(' ') ? text : ` ${text}`)
  const sampled = async (name, file, count, tokens) => {
    if (!existsSync(at(name))) {
      const rows = await run(['generate', '--model', model, '--data', file, '--num-return-sequences', `${count}`, '--max-new-tokens', `${tokens}`, '--batch-size', '32'])
      write(at(name), rows.filter(({ completion }) => completion !== undefined))
    }
    return jsonl(at(name))
  }
  const { train, held } = prompts(chats, heldCount - heldPrompts)
  write(at('prompts'), train.map((prompt) => ({ prompt: asked(prompt) })))
  write(at('held-prompts'), held.map((prompt) => ({ prompt: asked(prompt) })))
  const paired = (rows) => {
    return byPrompt(rows).flatMap((completions) => {
      const good = completions.find(({ completion }) => hasNoComma(completion) && completion.trim())
      const bad = completions.find(({ completion }) => !hasNoComma(completion))
      return good && bad ? [{ prompt: good.prompt, chosen: said(good.completion), rejected: said(bad.completion) }] : []
    })
  }
  const single = ({ prompt, chosen, rejected }) => [
    { prompt, completion: chosen, label: true },
    { prompt, completion: rejected, label: false },
  ]
  const tokens = newTokens[chats ? 'chat' : 'text']
  const own = await sampled('samples', at('prompts'), samples, tokens)
  const heldSamples = await sampled('held-samples', at('held-prompts'), samples, tokens)
  write(at('pairs'), paired(own))
  write(at('held-pairs'), paired(heldSamples))
  write(at('thumbs'), paired(own).flatMap(single))
  write(at('held-thumbs'), paired(heldSamples).flatMap(single))
  const rows = answers(pairs).map((row) => ({ prompt: asked(row.prompt), completion: said(row.completion), worse: row.rejected }))
  write(at('held-answers'), rows.slice(0, heldPrompts))
  write(at('answers'), rows.slice(heldPrompts, heldPrompts + trainPrompts))
  const heldAnswers = await sampled('own-answers', at('held-answers'), 1, answerTokens)
  // Scored together: the better responses first, then as many worse ones
  const scored = (prompt, completion) => ({ prompt, completion })
  const pairsHeld = paired(heldSamples)
  write(at('held-responses'), ['chosen', 'rejected'].flatMap((side) => pairsHeld.map((row) => scored(row.prompt, row[side]))))
  write(at('held-own'), [...rows.slice(0, heldPrompts).map((row) => scored(row.prompt, row.completion)), ...heldAnswers.map((row) => scored(row.prompt, said(row.completion)))])
  return { at, rows: { pairs: paired(own).length, heldPairs: pairsHeld.length, prompts: train.length, heldPrompts: held.length } }
}
