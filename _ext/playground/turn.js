// How the spheres are turned towards the reader. No DOM here.

/** The turn of the spheres that shows the middle of the embeddings z [N, d] in front. */
function facing(z, d) {
  const middle = [0, 0, 0];
  z.forEach((x, i) => {
    middle[i % d] += x;
  });
  const [x, y, up] = middle;
  return { yaw: Math.atan2(y, x), pitch: Math.atan2(up, Math.hypot(x, y)) };
}

/** A vector as it is seen: to the right, upwards, and towards the reader. On the circle (d = 2) nothing turns. */
function seen(vector, turn) {
  if (vector.length === 2) return [vector[0], vector[1], 1];
  const [x, y, z] = vector;
  const side = y * Math.cos(turn.yaw) - x * Math.sin(turn.yaw);
  const ahead = x * Math.cos(turn.yaw) + y * Math.sin(turn.yaw);
  const up = z * Math.cos(turn.pitch) - ahead * Math.sin(turn.pitch);
  return [side, up, ahead * Math.cos(turn.pitch) + z * Math.sin(turn.pitch)];
}
