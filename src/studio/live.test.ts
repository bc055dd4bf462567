/** Live events: a page gets the topics that it asks for, and holds nothing up once the studio closes. */
import { Hono } from 'hono'
import { expect, it } from 'vitest'
import { openLive } from './live.ts'

const timers = () => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length

it('sends a page its topics, and leaves no timer behind when the studio closes', async () => {
  const live = openLive()
  const app = new Hono().get('/live', (context) => live.stream(context, (topic) => topic.startsWith('project/')))
  const before = timers()
  const response = await app.request('/live')
  const text = response.text()
  // The page is there once it was told that it is ready
  await new Promise((done) => setTimeout(done, 20))
  for (let i = 0; i < 5; i++) live.publish({ topic: i % 2 ? `run/${i}` : `project/${i}` })
  await new Promise((done) => setTimeout(done, 20))
  live.close()
  const topics = [...(await text).matchAll(/"topic":"([^"]*)"/g)].map(([, topic]) => topic)
  expect(topics).toEqual(['project/0', 'project/2', 'project/4'])
  await new Promise((done) => setTimeout(done, 20))
  expect(timers()).toBeLessThanOrEqual(before)
})
