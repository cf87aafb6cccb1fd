/* libvpx by three functions. Its structures differ from version to version; here the compiler knows them. */

#include <stdint.h>
#include <stdlib.h>

#include <vpx/vp8dx.h>
#include <vpx/vpx_decoder.h>
#include <vpx/vpx_frame_buffer.h>

/* VP9 keeps eight pictures to refer to, and works on as many. */
#define BUFFERS 16

/* A picture of 8 bits 4:2:0 takes one and a half bytes for each pixel; as much again for borders. */
#define BYTES_PER_PIXEL_MAX 3

struct amphi_picture {
  const uint8_t *planes[3];
  uint32_t strides[3];
  uint32_t width;
  uint32_t height;
};

struct amphi_buffer {
  uint8_t *data;
  size_t size;
  int used;
};

struct amphi_vpx {
  vpx_codec_ctx_t decoder;
  int is_vp9;
  uint32_t pixels_max;
  struct amphi_buffer buffers[BUFFERS];
};

/* Asked for each picture, also for those whose size stands where nobody looks before they are decoded: behind another one in the
   same data, or in a frame that is no key frame. */
static int get_buffer(void *of, size_t size, vpx_codec_frame_buffer_t *given) {
  struct amphi_vpx *vpx = of;
  struct amphi_buffer *free_one = NULL;
  int at;
  if (size > (size_t)vpx->pixels_max * BYTES_PER_PIXEL_MAX)
    return -1;
  for (at = 0; at < BUFFERS; at++) {
    struct amphi_buffer *buffer = &vpx->buffers[at];
    if (!buffer->used && (free_one == NULL || buffer->size >= size))
      free_one = buffer;
  }
  if (free_one == NULL)
    return -1;
  if (free_one->size < size) {
    free(free_one->data);
    free_one->size = 0;
    /* libvpx wants it without anything in it. */
    free_one->data = calloc(1, size);
    if (free_one->data == NULL)
      return -1;
    free_one->size = size;
  }
  free_one->used = 1;
  given->data = free_one->data;
  given->size = free_one->size;
  given->priv = free_one;
  return 0;
}

static int release_buffer(void *of, vpx_codec_frame_buffer_t *given) {
  struct amphi_buffer *buffer = given->priv;
  (void)of;
  if (buffer != NULL)
    buffer->used = 0;
  given->priv = NULL;
  return 0;
}

void amphi_vpx_close(struct amphi_vpx *vpx) {
  int at;
  if (vpx == NULL)
    return;
  vpx_codec_destroy(&vpx->decoder);
  for (at = 0; at < BUFFERS; at++)
    free(vpx->buffers[at].data);
  free(vpx);
}

/* NULL when there is no memory for it. */
struct amphi_vpx *amphi_vpx_open(int is_vp9, uint32_t pixels_max) {
  struct amphi_vpx *vpx = calloc(1, sizeof *vpx);
  vpx_codec_dec_cfg_t config = {.threads = 1, .w = 0, .h = 0};
  if (vpx == NULL)
    return NULL;
  vpx->is_vp9 = is_vp9;
  vpx->pixels_max = pixels_max;
  if (vpx_codec_dec_init(&vpx->decoder, is_vp9 ? vpx_codec_vp9_dx() : vpx_codec_vp8_dx(), &config, 0) != VPX_CODEC_OK) {
    free(vpx);
    return NULL;
  }
  if (is_vp9 && vpx_codec_set_frame_buffer_functions(&vpx->decoder, get_buffer, release_buffer, vpx) != VPX_CODEC_OK) {
    amphi_vpx_close(vpx);
    return NULL;
  }
  return vpx;
}

/* 1: a picture, which lasts until the next call; 0: none came of it; -1: refused; -2: not 8 bits 4:2:0; -3: larger than the bound. */
int amphi_vpx_decode(struct amphi_vpx *vpx, const uint8_t *data, unsigned size, struct amphi_picture *picture) {
  vpx_codec_iter_t next = NULL;
  vpx_image_t *image, *newest = NULL;
  vpx_codec_stream_info_t info = {.sz = sizeof info};
  int plane;
  /* Asked before the decoder takes memory for anything. */
  if (vpx_codec_peek_stream_info(vpx->is_vp9 ? vpx_codec_vp9_dx() : vpx_codec_vp8_dx(), data, size, &info) == VPX_CODEC_OK &&
      info.is_kf && (uint64_t)info.w * info.h > vpx->pixels_max)
    return -3;
  if (vpx_codec_decode(&vpx->decoder, data, size, NULL, 0) != VPX_CODEC_OK)
    return -1;
  while ((image = vpx_codec_get_frame(&vpx->decoder, &next)) != NULL)
    newest = image;
  if (newest == NULL)
    return 0;
  if (newest->fmt != VPX_IMG_FMT_I420)
    return -2;
  for (plane = 0; plane < 3; plane++) {
    if (newest->planes[plane] == NULL || newest->stride[plane] <= 0)
      return -2;
    picture->planes[plane] = newest->planes[plane];
    picture->strides[plane] = (uint32_t)newest->stride[plane];
  }
  picture->width = newest->d_w;
  picture->height = newest->d_h;
  return 1;
}
